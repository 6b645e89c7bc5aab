import type { Clock, Monotonic } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import type { Epoch, Identity, InstanceKey } from '../../common/ids.js';
import type { Pin } from '../../common/pin.js';
import type { TimerWheel, WheelEntry } from '../../common/timer-wheel.js';
import { callOffsets, frameOffsets } from '../../wire/frames/frames.js';
import type { LoadedClass } from '../hosting/loaded-class.js';

/** Beyond these a call is sent away at once, and comes again when its client has asked the router. */
const maxHeld = 10_000;
const maxHeldBytes = 16_777_216;
const remainingMsAt = frameOffsets.body + callOffsets.remainingMs;

/**
 * A call that came before its instance was here. It has no place in any queue yet (S5); the calls of one arrival go on in the
 * order in which they came.
 */
export class HeldCall {
  /** Its frame, copied: the batch that it came in must not be held. */
  readonly frame: Buffer;
  readonly #clock: Clock;
  readonly #endsAt: Monotonic | null;
  readonly #deadline: { readonly wheel: TimerWheel; readonly entry: WheelEntry } | null;
  readonly #settle: (error: HoldfastError | null) => void;
  #isDone = false;

  /** @param settle null: it goes on now, with the time that it has left; else that is its answer */
  constructor(
    frame: Buffer,
    { clock, wheel }: { readonly clock: Clock; readonly wheel: TimerWheel },
    settle: (error: HoldfastError | null) => void,
  ) {
    this.frame = Buffer.from(frame);
    this.#clock = clock;
    this.#settle = settle;
    const remainingMs = frame.readUInt32LE(remainingMsAt);
    const isTimed = remainingMs > 0;
    this.#endsAt = isTimed ? clock.monotonic() + remainingMs : null;
    this.#deadline = isTimed ? { wheel, entry: wheel.add(remainingMs, () => this.cancel(true)) } : null;
  }

  goOn(): void {
    if (this.#endsAt !== null) {
      const leftMs = Math.max(1, Math.ceil(this.#endsAt - this.#clock.monotonic()));
      this.frame.writeUInt32LE(leftMs, remainingMsAt);
    }
    this.#end(null);
  }

  /** Its caller waits no more. */
  cancel(byDeadline: boolean): void {
    const [code, why] = byDeadline
      ? (['DeadlineExceeded', 'its time was over'] as const)
      : (['Cancelled', 'its caller cancelled it'] as const);
    this.#end(
      new HoldfastError(code, `the call never ran: ${why} before its instance was here`, { outcome: 'not-run' }),
    );
  }

  /** @throws InvalidArgument: nobody has asked for more of it */
  chunk(): never {
    throw new HoldfastError('InvalidArgument', 'a call sent more of its arguments than it was asked for');
  }

  credit(): void {
    // For an answer that it does not have yet; what is asked for before is not remembered.
  }

  #end(error: HoldfastError | null): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#deadline?.wheel.remove(this.#deadline.entry);
    this.#settle(error);
  }
}

/** What is to be brought to life here, once it is known that its pin says so. */
export interface Arriving {
  readonly key: InstanceKey;
  readonly identity: Identity;
  readonly klass: LoadedClass | Promise<LoadedClass>;
  /** Null: the store has yet to give it. */
  readonly epoch: Epoch | null;
  /** Makes the pin active here, and gives it. @throws why that cannot be */
  readonly claim: () => Promise<Pin>;
}

/** A placement that is under way, and the calls that wait for what becomes of it. */
export class Arrival {
  /** Null: the store has yet to give it. */
  readonly epoch: Epoch | null;
  /** The pin once it is active; rejects where the worker refuses it. */
  readonly decided: Promise<Pin>;
  readonly #held: HeldCall[] = [];
  #heldBytes = 0;

  constructor(epoch: Epoch | null, decided: Promise<Pin>) {
    this.epoch = epoch;
    this.decided = decided;
  }

  /** False: too many wait already. */
  hold(call: HeldCall): boolean {
    if (this.#held.length >= maxHeld || this.#heldBytes + call.frame.length > maxHeldBytes) return false;
    this.#held.push(call);
    this.#heldBytes += call.frame.length;
    return true;
  }

  /** The instance is here, or will not be: what waited finds out which. */
  release(): void {
    for (const call of this.#held) call.goOn();
    this.#held.length = 0;
  }
}
