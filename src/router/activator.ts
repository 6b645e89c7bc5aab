import type { Clock, Monotonic, Random } from '../common/clock.js';
import { type BootId, type Identity, instanceKey } from '../common/ids.js';
import type { OnLoss } from '../common/manifest.js';
import { type Pin, type PinChange, type PinChangeResult, type PinFields, pinChange } from '../common/pin.js';
import type { DeployedClass, Deployments } from './deployments.js';
import type { Flight } from './flights.js';
import { noCapacity } from './instance-errors.js';
import { patiently } from './patience.js';
import type { Pins } from './pins.js';
import { choosePlacement, type Placement, type Rejection } from './placement.js';
import type { Workers } from './workers.js';

/** What a new instance is made of (S1). */
export interface Making {
  readonly identity: Identity;
  /** Puts large arguments away and gives the bytes for the pin. */
  readonly storeArgs: () => Promise<Uint8Array>;
  readonly argsHash: string;
  /** By `named` or `bind`, so that others can find it again; false for `new`. */
  readonly byName: boolean;
}

/** A flight on its way to an active instance. */
export interface Attempt extends Flight {
  readonly refusals: Refusals;
}

/** Boots that refused in this flight: not asked again before they have told of their capacity once more. */
export class Refusals {
  readonly #refused = new Map<BootId, { readonly why: string; readonly at: Monotonic }>();

  add(bootId: BootId, why: string, at: Monotonic): void {
    this.#refused.set(bootId, { why, at });
  }

  standing(workers: Workers): ReadonlyMap<BootId, string> {
    const standing = new Map<BootId, string>();
    for (const [bootId, { why, at }] of this.#refused) {
      if (!workers.heardSince(bootId, at)) standing.set(bootId, why);
    }
    return standing;
  }
}

type Allocation =
  | { readonly code: DeployedClass; readonly placement: Placement; readonly reservation: { release(): void } }
  | { readonly placement: null; readonly rejected: readonly Rejection[] };
type Allocated = Extract<Allocation, { readonly code: DeployedClass }>;

/** Capacity may come back without a heartbeat that says so, as when another router's placement fails. */
const lookAgainMs = 1_000;

interface Parts {
  readonly clock: Clock;
  readonly random: Random;
  readonly pins: Pins;
  readonly workers: Workers;
  readonly deployments: Deployments;
}

/** Chooses a worker and writes it into the pin: every way to `placing` (S5). */
export class Activator {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Makes or remakes the id: its epoch is its generation (S2). Gives who has the pin after the attempt. */
  async make(making: Making, closed: Pin | null, attempt: Attempt): Promise<Pin | null> {
    const { identity, argsHash, byName } = making;
    const { clock, pins } = this.#parts;
    const allocated = await this.#allocate(identity, null, attempt);
    const onLoss: OnLoss = allocated.code.manifest.options.onLoss ?? (byName ? 'recreate' : 'fail');
    const atMs = clock.now();
    const write = async () => {
      const args = await making.storeArgs();
      const change: PinChange = {
        expect: closed === null ? 'none' : { generation: closed.generation, epoch: closed.epoch, state: closed.state },
        opId: pins.newOpId(),
        epoch: 'next',
        generation: 'epoch',
        fields: {
          ...placedOn(allocated),
          ...{ identity, state: 'placing', args, argsHash, onLoss, createdAtMs: atMs, restarts: 0, restarted: false },
        },
        transitions: [{ atMs, from: closed === null ? 'none' : 'closed', to: 'placing', why: 'made' }],
        ttlMs: null,
      };
      return pins.change(instanceKey(identity), change, attempt);
    };
    return heldOrReleased(allocated, write);
  }

  /** Another activation of what exists, at the next epoch. Gives who has the pin after the attempt. */
  async activate(pin: Pin, to: { why: string; set?: Partial<PinFields> }, attempt: Attempt): Promise<Pin | null> {
    const { clock, pins } = this.#parts;
    const allocated = await this.#allocate(pin.identity, pin.deployment, attempt);
    const change = pinChange(pin, 'placing', {
      opId: pins.newOpId(),
      why: to.why,
      atMs: clock.now(),
      nextEpoch: true,
      set: { ...to.set, ...placedOn(allocated) },
    });
    return heldOrReleased(allocated, () => pins.change(instanceKey(pin.identity), change, attempt));
  }

  /** Waits for a worker that fits, until the flight ends. */
  async #allocate(identity: Identity, pinned: number | null, attempt: Attempt): Promise<Allocated> {
    const { clock, workers, deployments } = this.#parts;
    for (;;) {
      const code = await patiently(clock, attempt, () => deployments.forActivation(identity, pinned));
      const allocation = this.#tryAllocate(identity.account, code, attempt);
      if (allocation.placement !== null) {
        attempt.waiting.instead = null;
        return allocation;
      }
      attempt.waiting.what = 'a worker with room';
      attempt.waiting.instead = noCapacity(identity, allocation.rejected);
      await workers.changes.pass(lookAgainMs, attempt.signal);
    }
  }

  #tryAllocate(account: string, code: DeployedClass, attempt: Attempt): Allocation {
    const { random, workers } = this.#parts;
    const { options } = code.manifest;
    const demand = { options, label: code.label, refused: attempt.refusals.standing(workers) };
    const placement = choosePlacement(demand, workers.candidates(account), random);
    if (placement.chosen === null) return { placement: null, rejected: placement.rejected };
    const { chosen, usesRoom } = placement;
    const reservation = workers.reserve({ bootId: chosen.bootId, label: code.label, options, usesRoom });
    return { code, placement, reservation };
  }
}

/** Where the pin went to someone else, the room that was taken for it is free again. */
async function heldOrReleased(allocated: Allocated, write: () => Promise<PinChangeResult>): Promise<Pin | null> {
  let applied = false;
  try {
    const result = await write();
    applied = result.applied;
    return result.pin;
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
