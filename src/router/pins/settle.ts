import type { Clock } from '../../common/clock.js';
import type { Logger } from '../../common/context.js';
import type { HoldfastError } from '../../common/errors.js';
import { type BootId, type Epoch, type InstanceKey, instanceKey } from '../../common/ids.js';
import { type Pin, type PinChangeResult, type PinFields, type PinState, pinChange } from '../../common/pin.js';
import { patiently } from '../patience.js';
import type { BootState, Leases } from '../placement/leases.js';
import type { PlaceSender } from '../placement/place-sender.js';
import type { Workers } from '../placement/workers.js';
import { type Activator, Attempt, isUnknown, type Making } from './activator.js';
import type { BroughtPins } from './brought-pins.js';
import type { Flight } from './flights.js';
import type { NewNames } from './new-names.js';
import { Pace } from './pace.js';
import type { PinEvents } from './pin-events.js';
import type { Pins } from './pins.js';

// The pin's way to an active instance, one state at a time. What must hold, whatever else happens:
// P1. Only the worker of a placing pin, by its refusal, or the end of its boot's lease, takes the pin elsewhere (S5). Who is
//     told of a pin that is not active yet brings it to its worker, and the worker hears of it from here too.
// P2. A pin whose boot may live is never given to another; heartbeats and failed requests are hints (S8).
// P3. Every change is a compare-and-set on what was seen; who loses it goes on from what stands instead (S4).

/** What a flight is to reach. */
export interface Goal {
  readonly key: InstanceKey;
  /** Null: what is not there or closed stays so. */
  readonly making: Making | null;
  /** The epoch that a caller could not use; not handed out again while its worker may be dying. */
  readonly failedEpoch: Epoch | null;
}

interface Parts {
  readonly clock: Clock;
  readonly log: Logger;
  readonly pins: Pins;
  readonly events: PinEvents;
  readonly leases: Leases;
  readonly workers: Workers;
  readonly activator: Activator;
  readonly sender: PlaceSender;
  readonly brought: BroughtPins;
  readonly newNames: NewNames;
}

/** What one look at a pin came to: it is where it shall be, or this is what to look at next. */
type Step = { readonly settled: Pin | null } | { readonly next: Pin | null };

/** Why a pin moved whose boot's lease ended. */
const workerLost = 'worker lost';

/** Brings pins to `active`. */
export class Settler {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /**
   * The pin once it is active, or just made and for its client to bring; or as it is where that cannot be: `lost`; none or
   * `closed` without `making`.
   * @param seen `unread`: nobody has looked for it, it is expected to be new
   * @throws what the worker refused it for, NotFound, the flight's reason
   */
  async settle(goal: Goal, seen: Pin | null | 'unread', flight: Flight): Promise<Pin | null> {
    const attempt = new Attempt(flight);
    const pace = new Pace();
    for (let pin = seen; ; ) {
      flight.throwIfAborted();
      if (pin !== 'unread') pace.saw(pin);
      const step =
        pin === 'unread' ? await this.#unread(goal, attempt) : await this.#step(goal, pin, { attempt, pace });
      if ('settled' in step) return step.settled;
      pin = step.next;
    }
  }

  #step(goal: Goal, pin: Pin | null, on: { attempt: Attempt; pace: Pace }): Promise<Step> | Step {
    if (pin === null || pin.state === 'closed') return this.#absent(goal, pin, on.attempt);
    switch (pin.state) {
      case 'idle':
        return this.#idle(pin, on.attempt);
      case 'placing':
        return this.#placing(goal, pin, on);
      case 'active':
        return this.#active(goal, pin, on);
      case 'draining':
      case 'closing':
        return this.#ending(pin, on);
      case 'lost':
        return { settled: pin };
      default:
        return pin.state satisfies never;
    }
  }

  async #absent(goal: Goal, pin: Pin | null, attempt: Attempt): Promise<Step> {
    if (goal.making === null) return { settled: pin };
    return this.#made(goal.making, await this.#parts.activator.make(goal.making, pin, attempt));
  }

  /** Where it cannot be made at once it may still be there. */
  async #unread({ key, making }: Goal, attempt: Attempt): Promise<Step> {
    const { activator, pins } = this.#parts;
    const made = making === null ? null : await activator.makeNow(making, attempt);
    if (making === null || made === null) return { next: await pins.read(key, attempt) };
    return this.#made(making, made);
  }

  #made({ identity, key, byName }: Making, made: PinChangeResult): Step {
    const { brought, newNames } = this.#parts;
    if (byName) newNames.saw(identity, made.applied);
    const isTold = made.applied && made.pin.isBrought && brought.expect(key, made.pin);
    return isTold ? { settled: made.pin } : { next: made.pin };
  }

  /** A session's files are where it fell asleep: without that boot it is lost. */
  async #idle(pin: Pin, attempt: Attempt): Promise<Step> {
    const { activator } = this.#parts;
    if (pin.kind === 'class') return { next: await activator.activate(pin, { why: 'activated' }, attempt) };
    const boot = await this.#look(pin, attempt);
    if (boot.phase === 'over') return this.#lost(pin, attempt);
    // It has no files: they were lost, or it has never run.
    if (pin.restarted) return { next: await activator.activate(pin, { why: 'activated' }, attempt) };
    return { next: await activator.wake(pin, attempt) };
  }

  async #placing(goal: Goal, pin: Pin, on: { attempt: Attempt; pace: Pace }): Promise<Step> {
    const { sender, activator } = this.#parts;
    on.attempt.waiting.what = `worker ${pin.workerId} to take the instance`;
    const outcome = await sender.place(pin);
    switch (outcome.phase) {
      case 'active':
        return { settled: { ...pin, state: 'active' } };
      case 'refused':
        return { next: await this.#refused(goal, pin, { attempt: on.attempt, error: outcome.error }) };
      case 'unknown': {
        const pinNow = await this.#parts.pins.read(goal.key, on.attempt);
        if (!isSame(pinNow, pin)) return { next: pinNow };
        const boot = await this.#look(pin, on.attempt);
        if (boot.phase === 'over' && hasFiles(pin)) return this.#lost(pin, on.attempt);
        // P1. It never ran, so whatever onLoss says, nothing was lost.
        if (boot.phase === 'over') {
          this.#avoid(pin.bootId, 'it is gone', on.attempt);
          const to = { why: 'worker lost while placing', set: withoutFiles(pin) };
          return { next: await activator.activate(pin, to, on.attempt) };
        }
        return this.#lookAgain(pin, boot, on);
      }
      default:
        return outcome satisfies never;
    }
  }

  /** P1. Where nobody knows of this generation the id is free again, else it sleeps where no worker has it. */
  async #refused(goal: Goal, pin: Pin, on: { attempt: Attempt; error: HoldfastError }): Promise<Pin | null> {
    const { log, workers } = this.#parts;
    const { attempt, error } = on;
    log.info('place.refused', { key: goal.key, epoch: pin.epoch, worker: pin.workerId, code: error.code });
    this.#avoid(pin.bootId, error.message, attempt);
    workers.changes.open();
    const isFree = isUnknown(pin);
    const set = hasFiles(pin) ? {} : withoutFiles(pin);
    const result = await this.#change(pin, isFree ? 'closed' : 'idle', { why: `refused: ${error.code}`, attempt, set });
    // P3. A refusal of what has moved on meanwhile, perhaps to active on another request, is no news.
    if (result.applied && !isAboutTheWorker(error)) throw error;
    return result.pin;
  }

  /** Its last heartbeat may make it look well for a while. */
  #avoid(bootId: BootId | null, why: string, attempt: Attempt): void {
    if (bootId !== null) attempt.refusals.add(bootId, why, this.#parts.clock.monotonic());
  }

  async #active(goal: Goal, pin: Pin, on: { attempt: Attempt; pace: Pace }): Promise<Step> {
    const { workers } = this.#parts;
    const isSuspect = goal.failedEpoch === pin.epoch;
    if (!isSuspect && pin.bootId !== null && workers.isFresh(pin.bootId)) return { settled: pin };
    const boot = await this.#look(pin, on.attempt);
    if (boot.phase === 'over') return this.#lost(pin, on.attempt);
    if (boot.phase === 'held') {
      // It lives and still has the instance: whoever failed to reach it may try once more.
      const isAlive = pin.bootId !== null && workers.heardSince(pin.bootId, on.attempt.startedAt);
      if (!isSuspect) return { settled: pin };
      if (await this.#parts.sender.isAbsent(pin)) return this.#left(pin, on.attempt);
      if (isAlive) return { settled: pin };
    }
    return this.#lookAgain(pin, boot, on);
  }

  async #lost(pin: Pin, attempt: Attempt): Promise<Step> {
    if (pin.bootId !== null) this.#parts.workers.sawEnd(pin.bootId);
    this.#parts.log.warn('instance.lost', {
      epoch: pin.epoch,
      worker: pin.workerId,
      boot: pin.bootId,
      onLoss: pin.onLoss,
    });
    if (pin.onLoss === 'fail') return { next: (await this.#change(pin, 'lost', { why: workerLost, attempt })).pin };
    this.#avoid(pin.bootId, 'it is gone', attempt);
    return { next: await this.#parts.activator.activate(pin, { why: workerLost, set: restartOf(pin) }, attempt) };
  }

  /** `draining` and `closing` are the worker's until it says so, or its lease ends (S3). */
  async #ending(pin: Pin, on: { attempt: Attempt; pace: Pace }): Promise<Step> {
    const boot = await this.#look(pin, on.attempt);
    if (boot.phase === 'held' && (await this.#parts.sender.isAbsent(pin))) return this.#left(pin, on.attempt);
    if (boot.phase !== 'over') return this.#lookAgain(pin, boot, on);
    const how = { why: workerLost, attempt: on.attempt };
    if (pin.state === 'closing') return { next: (await this.#change(pin, 'closed', how)).pin };
    return { next: (await this.#change(pin, 'idle', { ...how, set: restartOf(pin) })).pin };
  }

  /** It has left its worker, and the store has forgotten that (S10). */
  async #left(pin: Pin, attempt: Attempt): Promise<Step> {
    const to = pin.state === 'closing' ? 'closed' : 'idle';
    return { next: (await this.#change(pin, to, { why: 'not at its worker', attempt })).pin };
  }

  async #lookAgain(pin: Pin, boot: BootState, on: { attempt: Attempt; pace: Pace }): Promise<Step> {
    const { attempt, pace } = on;
    const key = instanceKey(pin.identity);
    attempt.waiting.what =
      boot.phase === 'ending'
        ? `the end of the lease of worker ${pin.workerId}, which is gone`
        : `worker ${pin.workerId}, which has the instance at \`${pin.state}\` and holds its lease`;
    const delayMs = pace.nextMs();
    await this.#parts.events.next(
      key,
      boot.phase === 'ending' ? Math.min(delayMs, boot.graceMs) : delayMs,
      attempt.signal,
    );
    return { next: await this.#parts.pins.read(key, attempt) };
  }

  #look(pin: Pin, attempt: Attempt): Promise<BootState> {
    const { clock, leases } = this.#parts;
    return lookAt(pin.bootId, (bootId) => patiently(clock, attempt, () => leases.look(bootId)));
  }

  #change(
    pin: Pin,
    to: PinState,
    on: { why: string; attempt: Attempt; set?: Partial<PinFields> },
  ): Promise<PinChangeResult> {
    const { clock, pins } = this.#parts;
    const { why, set = {} } = on;
    const change = pinChange(pin, to, { opId: pins.newOpId(), why, atMs: clock.now(), set });
    return pins.change(instanceKey(pin.identity), change, on.attempt);
  }
}

/** A session that slept is being woken where they are. */
function hasFiles(pin: Pin): boolean {
  return pin.kind === 'sandbox' && pin.generation !== pin.epoch && !pin.restarted;
}

/** A session that its client was told of and that has not run yet may start anywhere, however often it was refused. */
function withoutFiles({ kind, isBrought, restarted }: Pin): Partial<PinFields> {
  return { restarted: restarted || (kind === 'sandbox' && isBrought) };
}

/** The next activation is one after a loss, until its worker says otherwise. */
function restartOf(pin: Pin): Partial<PinFields> {
  return { restarts: pin.restarts + 1, restarted: true };
}

/** A pin without a boot is nobody's. */
export function lookAt(bootId: BootId | null, look: (bootId: BootId) => Promise<BootState>): Promise<BootState> {
  return bootId === null ? Promise.resolve({ phase: 'over' }) : look(bootId);
}

/** A refusal that another worker, or the same one later, need not repeat. */
function isAboutTheWorker(refusal: HoldfastError): boolean {
  return refusal.retryable || refusal.code === 'NoCapacity' || refusal.code === 'SandboxUnavailable';
}

function isSame(a: Pin | null, b: Pin): boolean {
  return a !== null && a.generation === b.generation && a.epoch === b.epoch && a.state === b.state;
}
