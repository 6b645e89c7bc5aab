import { HoldfastError, isHoldfastError } from '../../common/errors.js';
import type { MethodManifest } from '../../common/manifest.js';
import { type CallId, mostCallBytes } from '../../common/spawned-call.js';
import type { TimerWheel, WheelEntry } from '../../common/timer-wheel.js';
import { encodeValue } from '../../wire/codec/codec.js';
import { creditBody } from '../../wire/frames/frame-bodies.js';
import { type IncomingCall, readBody } from '../../wire/frames/frame-reader.js';
import { FrameWriter } from '../../wire/frames/frame-writer.js';
import { FrameKind } from '../../wire/frames/frames.js';
import type { Caller } from '../calls/worker-call.js';
import type { Instance } from '../instances/instance.js';
import type { ArgumentRoom } from './argument-room.js';

/** What a client asks, and how it wants to be known. */
export interface SpawnArrival {
  readonly caller: Caller;
  readonly ref: number;
  readonly instance: Instance;
  readonly method: MethodManifest;
  readonly head: IncomingCall;
  /** Of its client. */
  readonly room: ArgumentRoom;
  readonly spawn: { readonly id: CallId; readonly isRepeated: boolean };
}

/**
 * A client's wish to have a call spawned, until it is answered: when the call is admitted and recorded, with nothing. From then on
 * the call is nobody's; before that, who takes the wish back takes back the call, unless others may have asked for the same one.
 */
export class SpawnRequest {
  readonly #arrival: SpawnArrival;
  readonly #args: Buffer;
  #received: number;
  #isAsked = false;
  #isDone = false;
  #heldBytes: number;
  #deadline: { readonly wheel: TimerWheel; readonly entry: WheelEntry } | null = null;

  /** @throws InvalidArgument, PayloadTooLarge, PendingLimitExceeded */
  constructor(arrival: SpawnArrival) {
    const { head, method, instance } = arrival;
    if (method.generator || instance.klass.kind === 'sandbox') {
      throw new HoldfastError(
        'InvalidArgument',
        `'${method.name}' cannot be spawned: only methods with one result can`,
      );
    }
    if (head.payloadLength > mostCallBytes) {
      const message = `the arguments take ${head.payloadLength} bytes, those of a spawned call may take ${mostCallBytes}; put them into a volume, and pass where they are`;
      const details = { bytes: head.payloadLength, maxBytes: mostCallBytes };
      throw new HoldfastError('PayloadTooLarge', message, { details });
    }
    this.#arrival = arrival;
    arrival.room.take(head.payloadLength);
    this.#heldBytes = head.payloadLength;
    this.#args = Buffer.allocUnsafeSlow(head.payloadLength);
    this.#received = head.payload.copy(this.#args);
  }

  get isDone(): boolean {
    return this.#isDone;
  }

  start(wheel: TimerWheel): void {
    const { head, caller, ref } = this.#arrival;
    if (head.remainingMs > 0) this.#deadline = { wheel, entry: wheel.add(head.remainingMs, () => this.cancel(true)) };
    const missing = this.#args.length - this.#received;
    if (missing === 0) return this.#ask();
    caller.forward(
      frameOf((writer) => writer.frame(FrameKind.Credit, 0, 0, creditBody(missing))),
      ref,
    );
  }

  /** @throws InvalidArgument where nobody asked for it */
  chunk(frame: Buffer): void {
    const bytes = readBody(frame);
    if (this.#received + bytes.length > this.#args.length || this.#isAsked) {
      throw new HoldfastError('InvalidArgument', 'a call sent more of its arguments than it was asked for');
    }
    this.#received += bytes.copy(this.#args, this.#received);
    if (this.#received === this.#args.length && !this.#isDone) this.#ask();
  }

  credit(): void {
    // For an answer that is one frame.
  }

  /** Its caller does not want it any more. */
  cancel(byDeadline: boolean): void {
    if (this.#isDone) return;
    const { instance, spawn, method } = this.#arrival;
    // One that nobody knows by its id would run for nobody; of one that was asked for before somebody else may wait (R1).
    if (this.#isAsked && !spawn.isRepeated) void instance.spawned.cancel(spawn.id).catch(() => undefined); // over: it was never recorded, or is
    const [code, outcome] = [
      byDeadline ? ('DeadlineExceeded' as const) : ('Cancelled' as const),
      this.#isAsked ? ('unknown' as const) : ('not-run' as const),
    ];
    this.#fail(new HoldfastError(code, `${method.name} was taken back before it was spawned`, { outcome }));
  }

  /** Its caller is gone: what it has asked for stays. */
  abandon(): void {
    this.#end();
  }

  #ask(): void {
    this.#isAsked = true;
    const { instance, spawn, method, caller, ref } = this.#arrival;
    const admitted = (): void => this.#release();
    instance.spawned.spawn({ ...spawn, method, args: this.#args, admitted }).then(
      (how) => {
        this.#release();
        if (!this.#end()) return;
        if (how === 'moved') caller.moved(ref);
        else caller.forward(nothing(), ref);
        caller.done(ref);
      },
      (error: unknown) => {
        this.#release();
        this.#fail(error);
      },
    );
  }

  #fail(error: unknown): void {
    if (!this.#end()) return;
    const { caller, ref } = this.#arrival;
    caller.fail(ref, isHoldfastError(error) ? error : new HoldfastError('Internal', String(error)));
    caller.done(ref);
  }

  /** False: it has been answered. */
  #end(): boolean {
    if (this.#isDone) return false;
    this.#isDone = true;
    this.#deadline?.wheel.remove(this.#deadline.entry);
    // What was asked for has them until it is admitted, whoever still waits for that.
    if (!this.#isAsked) this.#release();
    return true;
  }

  #release(): void {
    this.#arrival.room.give(this.#heldBytes);
    this.#heldBytes = 0;
  }
}

function nothing(): Buffer {
  const bytes = encodeValue(undefined);
  return frameOf((writer) => writer.payload(FrameKind.Result, 0, 0, bytes.length, bytes));
}

function frameOf(write: (writer: FrameWriter) => void): Buffer {
  const writer = new FrameWriter(0, 64);
  write(writer);
  return writer.take();
}
