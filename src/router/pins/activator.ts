import type { Clock, Monotonic, Random } from '../../common/clock.js';
import type { HoldfastError } from '../../common/errors.js';
import { type BootId, type Identity, type InstanceKey, instanceKey } from '../../common/ids.js';
import { kindOf, type OnLoss } from '../../common/manifest.js';
import { type Pin, type PinChange, type PinChangeResult, type PinFields, pinChange } from '../../common/pin.js';
import { broughtArgsBytes } from '../../wire/frames/frames.js';
import type { DeployedClass, Deployments } from '../apps/deployments.js';
import { patiently } from '../patience.js';
import { filesNeeded } from '../placement/files-needed.js';
import type { LocalVolume, LocalVolumes } from '../placement/local-volumes.js';
import { choosePlacement, type Demand, isolationLack, type Placement, type Rejection } from '../placement/placement.js';
import { Refusals } from '../placement/refusals.js';
import type { Workers } from '../placement/workers.js';
import type { Waiting } from '../service/request.js';
import type { Flight } from './flights.js';
import { noCapacity, sandboxUnavailable, volumeUnavailable } from './instance-errors.js';
import type { Pins } from './pins.js';

/** What a new instance is made of (S1). */
export interface Making {
  readonly identity: Identity;
  readonly key: InstanceKey;
  /** Puts large arguments away and gives the bytes for the pin. */
  readonly storeArgs: () => Promise<Uint8Array>;
  readonly args: Uint8Array;
  readonly argsHash: string;
  /** By `named` or `bind`, so that others can find it again; false for `new`. */
  readonly byName: boolean;
  readonly tags: readonly string[];
}

/** Where it may be. */
type Sought = Pick<Demand, 'home' | 'local'> & Pick<Where, 'args'> & { readonly code: DeployedClass };

/** A flight on its way to an active instance. */
export class Attempt implements Flight {
  readonly refusals = new Refusals();
  readonly startedAt: Monotonic;
  readonly waiting: Waiting;
  readonly #flight: Flight;

  constructor(flight: Flight) {
    this.#flight = flight;
    this.startedAt = flight.startedAt;
    this.waiting = flight.waiting;
  }

  get signal(): AbortSignal {
    return this.#flight.signal;
  }

  throwIfAborted(): void {
    this.#flight.throwIfAborted();
  }
}

type Allocation =
  | { readonly code: DeployedClass; readonly placement: Placement; readonly reservation: { release(): void } }
  | { readonly placement: null; readonly rejected: readonly Rejection[] };
type Allocated = Extract<Allocation, { readonly code: DeployedClass }>;

/** The deployment that it ran on last, and the one boot that can have it, or null. */
interface Where {
  readonly pinned: number | null;
  readonly home: BootId | null;
  /** Of the instance, as its pin has them. */
  readonly args: Uint8Array;
}

/** A host that restarts is back by then; one that is not has what only it has. */
const hostAwayMs = 10_000;
/** Capacity may come back without a heartbeat that says so, as when another router's placement fails. */
const lookAgainMs = 1_000;

interface Parts {
  readonly clock: Clock;
  readonly random: Random;
  readonly pins: Pins;
  readonly workers: Workers;
  readonly deployments: Deployments;
  readonly localVolumes: LocalVolumes;
}

/** Chooses a worker and writes it into the pin: every way to `placing` (S5). */
export class Activator {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Makes or remakes the id: its epoch is its generation (S2). */
  async make(making: Making, closed: Pin | null, attempt: Attempt): Promise<PinChangeResult> {
    const where = { pinned: null, home: null, args: making.args };
    const allocated = await this.#allocate(making.identity, where, attempt);
    return this.#write(making, closed, { attempt, allocated });
  }

  /** The same for an id that was never used, as far as anybody knows. Null: it cannot be placed at once. */
  async makeNow(making: Making, attempt: Attempt): Promise<PinChangeResult | null> {
    const { deployments } = this.#parts;
    // Whoever finds that it is not there meets the same error.
    const code = await deployments.forActivation(making.identity, null).catch(() => null);
    // Whose volume is on one host is placed in the other way, which also tells what is wrong with it.
    if (code === null || (await this.#parts.localVolumes.neededBy(making, code).catch(() => 'unknown')) !== null)
      return null;
    const sought = { code, home: null, local: null, args: making.args };
    const allocated = this.#tryAllocate(making.identity.account, sought, attempt);
    return allocated.placement ? this.#write(making, null, { attempt, allocated }) : null;
  }

  #write(
    making: Making,
    closed: Pin | null,
    { attempt, allocated }: { readonly attempt: Attempt; readonly allocated: Allocated },
  ): Promise<PinChangeResult> {
    const { identity, key, argsHash, byName, tags } = making;
    const { clock, pins } = this.#parts;
    const { manifest } = allocated.code;
    const kind = kindOf(manifest);
    const onLoss: OnLoss = manifest.options.onLoss ?? (byName ? 'recreate' : 'fail');
    const atMs = clock.now();
    const write = async () => {
      const args = await making.storeArgs();
      const change: PinChange = {
        expect: closed === null ? 'none' : { generation: closed.generation, epoch: closed.epoch, state: closed.state },
        opId: pins.newOpId(),
        epoch: 'next',
        generation: 'epoch',
        fields: {
          identity,
          kind,
          state: 'placing',
          args,
          argsHash,
          tags,
          onLoss,
          createdAtMs: atMs,
          restarts: 0,
          restarted: false,
          isBrought: canBeBrought(args, allocated),
          ...placedOn(allocated), // last: V8 adds what follows a spread one by one
        },
        transitions: [{ atMs, from: closed === null ? 'none' : 'closed', to: 'placing', why: 'made' }],
        ttlMs: null,
      };
      return pins.change(key, change, attempt);
    };
    return heldOrReleased(allocated, write);
  }

  /** Another activation of what exists, at the next epoch. Gives who has the pin after the attempt. */
  async activate(pin: Pin, to: { why: string; set?: Partial<PinFields> }, attempt: Attempt): Promise<Pin | null> {
    const where = { pinned: pin.deployment, home: null, args: pin.args };
    const allocated = await this.#allocate(pin.identity, where, attempt);
    return (await this.#move(pin, to, { attempt, allocated })).pin;
  }

  /**
   * The next activation of what sleeps at one boot with its files. Gives the pin as it was where that boot has no room now: it
   * may be at its end, so who asks looks at its lease before the next try.
   */
  async wake(pin: Pin, attempt: Attempt): Promise<Pin | null> {
    const where = { pinned: pin.deployment, home: pin.bootId, args: pin.args };
    const allocated = await this.#allocateOnce(pin.identity, where, attempt);
    return allocated === null ? pin : (await this.#move(pin, { why: 'woken' }, { attempt, allocated })).pin;
  }

  #move(
    pin: Pin,
    to: { why: string; set?: Partial<PinFields> },
    { attempt, allocated }: { readonly attempt: Attempt; readonly allocated: Allocated },
  ): Promise<PinChangeResult> {
    const { clock, pins } = this.#parts;
    const change = pinChange(pin, 'placing', {
      opId: pins.newOpId(),
      why: to.why,
      atMs: clock.now(),
      epoch: pin.state === 'placing' && isUnknown(pin) ? 'first' : 'next',
      set: { ...to.set, ...placedOn(allocated) },
    });
    return heldOrReleased(allocated, () => pins.change(instanceKey(pin.identity), change, attempt));
  }

  /** Waits for a worker that fits, until the flight ends. */
  async #allocate(identity: Identity, where: Where, attempt: Attempt): Promise<Allocated> {
    for (;;) {
      const allocated = await this.#allocateOnce(identity, where, attempt);
      if (allocated !== null) return allocated;
    }
  }

  /** Null, after a while, where no worker fits. @throws SandboxUnavailable where none can isolate it */
  async #allocateOnce(identity: Identity, where: Where, attempt: Attempt): Promise<Allocated | null> {
    const { clock, workers, deployments, localVolumes } = this.#parts;
    const code = await patiently(clock, attempt, () => deployments.forActivation(identity, where.pinned));
    const local = await patiently(clock, attempt, () => localVolumes.neededBy({ identity, args: where.args }, code));
    const allocation = this.#tryAllocate(identity.account, { ...where, code, local }, attempt);
    if (allocation.placement !== null) {
      attempt.waiting.instead = null;
      return (await this.#isBound(local, allocation)) ? allocation : null;
    }
    this.#refuseWithoutIsolation(identity, code);
    attempt.waiting.what = 'a worker with room';
    attempt.waiting.instead = this.#lackOf(identity, { local, rejected: allocation.rejected }, attempt);
    await workers.changes.pass(lookAgainMs, attempt.signal);
    return null;
  }

  /** The first placement binds its volume to the host; false: another one was faster, and it must be placed there. */
  async #isBound(local: LocalVolume | null, { placement, reservation }: Allocated): Promise<boolean> {
    if (local === null || local.host !== null) return true;
    const { workerId } = placement.chosen;
    const owner = await this.#parts.localVolumes.bind(local.volume, workerId).catch((error: unknown) => {
      reservation.release();
      throw error;
    });
    if (owner !== workerId) reservation.release();
    return owner === workerId;
  }

  /** What is told at the deadline. @throws VolumeUnavailable where the host of its volume is away */
  #lackOf(
    identity: Identity,
    { local, rejected }: { readonly local: LocalVolume | null; readonly rejected: readonly Rejection[] },
    attempt: Attempt,
  ): HoldfastError {
    const host = local?.host ?? null;
    if (local === null || host === null) return noCapacity(identity, rejected);
    const { clock, workers } = this.#parts;
    const isThere = [...workers.candidates(identity.account)].some(
      ({ workerId, isFresh }) => isFresh && workerId === host,
    );
    const lack = volumeUnavailable(identity, { volume: local.volume.name, host, isThere }, rejected);
    if (!isThere && clock.monotonic() - attempt.startedAt > hostAwayMs) throw lack;
    return lack;
  }

  /** Waiting for room is of no use where none of those that are there can isolate it. @throws SandboxUnavailable */
  #refuseWithoutIsolation(identity: Identity, { manifest }: DeployedClass): void {
    const demand = { kind: kindOf(manifest), options: manifest.options };
    // A worker that isolates classes may come; for their volumes it is said at once, and of gVisor, which few workers have.
    const { isolation, volumes } = demand.options;
    if (demand.kind === 'class' && volumes === undefined && isolation !== 'gvisor') return;
    const fresh = [...this.#parts.workers.candidates(identity.account)].filter(({ isFresh }) => isFresh);
    const lacks = fresh.map((candidate) => ({ workerId: candidate.workerId, why: isolationLack(demand, candidate) }));
    if (lacks.length > 0 && lacks.every(({ why }) => why !== null)) throw sandboxUnavailable(identity, lacks);
  }

  #tryAllocate(account: string, { code, home, local, args }: Sought, attempt: Attempt): Allocation {
    const { random, workers } = this.#parts;
    const { options } = code.manifest;
    const kind = kindOf(code.manifest);
    const known = { files: filesNeeded(code.manifest, args), refused: attempt.refusals.standing(workers) };
    const demand = { kind, options, label: code.label, home, local, ...known };
    const placement = choosePlacement(demand, workers.candidates(account), random);
    if (placement.chosen === null) return { placement: null, rejected: placement.rejected };
    const { chosen, usesRoom } = placement;
    const reservation = workers.reserve({ bootId: chosen.bootId, label: code.label, kind, options, usesRoom });
    return { code, placement, reservation };
  }
}

/** Nobody was told of it, so nobody knows of its generation: it is made once more, and says so (S2). */
export function isUnknown({ generation, epoch, isBrought }: Pin): boolean {
  return generation === epoch && !isBrought;
}

/** Where a container of the class, or a sandbox of its kind, waits there is little left for which its worker could refuse it. */
function canBeBrought(args: Uint8Array, { placement }: Allocated): boolean {
  return placement.usesRoom && args.length <= broughtArgsBytes;
}

/** Where the pin went to someone else, the room that was taken for it is free again. */
async function heldOrReleased(allocated: Allocated, write: () => Promise<PinChangeResult>): Promise<PinChangeResult> {
  let applied = false;
  try {
    const result = await write();
    applied = result.applied;
    return result;
  } finally {
    if (!applied) allocated.reservation.release();
  }
}

function placedOn({
  code,
  placement,
}: Allocated): Pick<Pin, 'workerId' | 'bootId' | 'address' | 'deployment' | 'placement'> {
  const { chosen, note } = placement;
  return {
    workerId: chosen.workerId,
    bootId: chosen.bootId,
    address: chosen.address,
    deployment: code.deployment.version,
    placement: note,
  };
}
