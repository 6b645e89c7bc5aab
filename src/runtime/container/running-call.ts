import type { Activation } from '../../common/activation.js';
import type { Monotonic } from '../../common/clock.js';
import { Detached } from '../../common/detached.js';
import { HoldfastError } from '../../common/errors.js';
import { decodeArgs, encodeForNow, encodeValue } from '../../wire/codec/codec.js';
import { encodeError } from '../../wire/errors.js';
import { creditBody } from '../../wire/frames/frame-bodies.js';
import type { IncomingCall } from '../../wire/frames/frame-reader.js';
import { CallFlag, CancelReason, FrameKind, inlinePayloadBytes } from '../../wire/frames/frames.js';
import { type CallState, done, queued, running } from './call-state.js';
import { afterRunning, isThenable } from './call-values.js';
import { cancelError } from './cancel-error.js';
import { gatedValues } from './gated-values.js';
import { GeneratorPump, type PumpEnd } from './generator-pump.js';
import type { HostedInstance } from './hosted-instance.js';
import { IncomingPayload } from './incoming-payload.js';
import { OutgoingPayload } from './outgoing-payload.js';
import { RunningContext } from './running-context.js';
import { createYieldSink } from './yield-sink.js';

const nothing: Uint8Array = new Uint8Array(0);

/**
 * One call in its container.
 *
 * I1. It answers exactly once: Result, Error or End; the last frame is followed by `callEnded`.
 * I2. It holds a large payload only while it runs: arguments come, and results go, on credit.
 * I3. What its code returns or throws leaves when all that its instance has written is stored (D3).
 */
export class RunningCall {
  readonly #instance: HostedInstance;
  readonly #ref: number;
  readonly method: string;
  /** It waits for a slot where none is free. */
  readonly isQueued: boolean;
  /** It takes no slot. */
  readonly isReader: boolean;
  readonly #isGenerator: boolean;
  readonly #context: RunningContext;
  #state: CallState = queued;
  /** All of the payload, or its beginning; until it begins. */
  #first: Uint8Array;
  readonly #payloadBytes: number;
  #begunAt: Monotonic = 0;
  #cancelled: HoldfastError | null = null;
  #wasAbandoned = false;

  /** @throws InvalidArgument for a meta that is none */
  constructor(instance: HostedInstance, ref: number, head: IncomingCall) {
    this.#instance = instance;
    this.#ref = ref;
    this.method = head.method;
    this.isQueued = (head.flags & CallFlag.queued) !== 0;
    this.isReader = (head.flags & CallFlag.reader) !== 0;
    this.#isGenerator = (head.flags & CallFlag.generator) !== 0;
    this.#first = head.payload;
    this.#payloadBytes = head.payloadLength;
    this.#context = new RunningContext(instance, ref, head);
  }

  /** It does not begin yet: the message that it came in is about to be gone. */
  waits(): void {
    this.#first = Buffer.from(this.#first);
  }

  /** It has a slot: runs, once all of its arguments are here. */
  begin(): void {
    const first = this.#first;
    this.#first = nothing;
    this.#begunAt = this.#instance.host.clock.monotonic();
    if (first.length === this.#payloadBytes) {
      this.#run(first);
      return;
    }
    const payload = new IncomingPayload(this.#payloadBytes, first);
    this.#state = { phase: 'receiving', payload };
    this.#giveCredit(payload);
  }

  /** @throws InvalidArgument for a chunk that was not asked for */
  onChunk(chunk: Uint8Array): void {
    // Chunks of a call that was cancelled meanwhile were under way.
    if (this.#state.phase !== 'receiving') return;
    const { payload } = this.#state;
    payload.append(chunk);
    if (payload.isComplete) this.#run(payload.bytes, true);
    else this.#giveCredit(payload);
  }

  onCredit(bytes: number): void {
    if (this.#state.phase === 'streaming') {
      this.#state.pump.addCredit(bytes);
    } else if (this.#state.phase === 'sending') {
      this.#state.result.addCredit(bytes);
      if (this.#state.result.send()) this.#end();
    }
  }

  /** The socket takes bytes again. */
  onDrain(): void {
    if (this.#state.phase === 'sending' && this.#state.result.send()) this.#end();
    else if (this.#state.phase === 'streaming') this.#state.pump.resume();
  }

  onCancel(reason: CancelReason): void {
    const state = this.#state;
    // Recalled too late: it runs to its end.
    if (reason === CancelReason.recalled && state.phase !== 'queued') return;
    switch (state.phase) {
      case 'queued':
        return this.#neverBegins(reason);
      case 'receiving':
        this.#fail(encodeError(cancelError(this.#context.label, reason, 'not-run')));
        return;
      case 'running':
      case 'detached':
        this.#abort(reason);
        return;
      case 'streaming':
        this.#abort(reason);
        state.pump.stop();
        return;
      case 'sending':
        this.#fail(encodeError(cancelError(this.#context.label, reason, 'ran')));
        return;
      case 'done':
        return;
      default:
        state satisfies never;
    }
  }

  #neverBegins(reason: CancelReason): void {
    const { host } = this.#instance;
    this.#instance.withdraw(this);
    this.#state = done;
    if (reason === CancelReason.recalled) host.stream.writer.frame(FrameKind.Moved, this.#ref, 0);
    else
      host.stream.writer.frame(
        FrameKind.Error,
        this.#ref,
        0,
        encodeError(cancelError(this.#context.label, reason, 'not-run')),
      );
    host.callEnded(this.#ref);
  }

  #abort(reason: CancelReason): void {
    if (this.#cancelled !== null) return;
    this.#cancelled = cancelError(this.#context.label, reason, 'ran');
    this.#wasAbandoned = reason === CancelReason.abandoned;
    this.#context.abort(this.#cancelled);
  }

  #giveCredit(payload: IncomingPayload): void {
    const bytes = payload.nextCredit();
    if (bytes === 0) return;
    const { stream } = this.#instance.host;
    stream.writer.urgent(FrameKind.Credit, this.#ref, creditBody(bytes));
    stream.flushNow();
  }

  /** @param isOwn nobody else has the bytes */
  #run(payload: Uint8Array, isOwn = false): void {
    this.#state = running;
    const { activation } = this.#instance;
    if (activation === null || !activation.hasMethod(this.method)) {
      const why =
        activation === null ? 'is not active in this container' : `has no method ${JSON.stringify(this.method)}`;
      this.#fail(encodeError(new HoldfastError('NotFound', `${this.#instance.label} ${why}`)));
      return;
    }
    let args: unknown[];
    try {
      args = decodeArgs(payload, isOwn);
    } catch (error) {
      this.#fail(encodeError(error));
      return;
    }
    if (this.#isGenerator) this.#generate(activation, args);
    else this.#invoke(activation, args);
  }

  #invoke(activation: Activation, args: unknown[]): void {
    let result: unknown;
    try {
      result = activation.invoke(this.method, args, this.#context);
    } catch (thrown) {
      this.#threw(thrown);
      return;
    }
    if (isThenable(result)) {
      Promise.resolve(result).then(
        (value) => this.#returned(value),
        (thrown: unknown) => this.#threw(thrown),
      );
    } else {
      this.#returned(result);
    }
  }

  #generate(activation: Activation, args: unknown[]): void {
    let iterator: AsyncIterator<unknown, void, undefined>;
    try {
      iterator = gatedValues(this.#instance, activation.generate(this.method, args, this.#context));
    } catch (thrown) {
      this.#threw(thrown);
      return;
    }
    const sink = createYieldSink(this.#instance.host.stream, this.#ref, (end) => this.#generatorEnded(end));
    const pump = new GeneratorPump(iterator, sink);
    this.#state = { phase: 'streaming', pump };
    void pump.run();
  }

  #generatorEnded(end: PumpEnd): void {
    if (end.how === 'threw') {
      this.#threw(end.thrown);
    } else if (end.how === 'refused') {
      this.#fail(encodeError(afterRunning(end.error)));
    } else if (this.#cancelled !== null && !this.#wasAbandoned) {
      this.#fail(encodeError(this.#cancelled));
    } else {
      this.#instance.host.stream.writer.frame(FrameKind.End, this.#ref, 0);
      this.#end();
    }
  }

  #returned(value: unknown): void {
    if (value instanceof Detached) return this.#detach(value);
    let bytes: Uint8Array;
    try {
      bytes = encodeForNow(value, 'result');
    } catch (error) {
      this.#fail(encodeError(afterRunning(error)));
      return;
    }
    const writes = this.#instance.unsettledWrites;
    if (writes === null) return this.#answer(bytes);
    const kept = Uint8Array.from(bytes);
    writes.then(
      () => this.#answer(kept),
      (error: unknown) => this.#fail(encodeError(afterRunning(error))),
    );
  }

  #answer(bytes: Uint8Array): void {
    const { stream } = this.#instance.host;
    if (bytes.length <= inlinePayloadBytes) {
      stream.writer.payload(FrameKind.Result, this.#ref, 0, bytes.length, bytes);
      this.#end();
      return;
    }
    this.#state = { phase: 'sending', result: new OutgoingPayload(stream, this.#ref, bytes) };
    stream.flushNow();
    this.#stopped();
  }

  #detach({ answer, done: ended }: Detached): void {
    const { stream } = this.#instance.host;
    const bytes = encodeValue(answer, 'result');
    stream.writer.frame(FrameKind.Detach, this.#ref, 0);
    stream.writer.payload(FrameKind.Result, this.#ref, 0, bytes.length, bytes);
    stream.flushNow();
    this.#state = { phase: 'detached' };
    void ended.then(() => {
      stream.writer.frame(FrameKind.Detached, this.#ref, 0);
      this.#end();
    });
  }

  #threw(thrown: unknown): void {
    const isCancel = thrown !== null && thrown === this.#cancelled;
    const error = (isCancel ? encodeError : this.#instance.host.encodeThrown)(thrown);
    const writes = this.#instance.unsettledWrites;
    const fail = (): void => this.#fail(error);
    if (writes === null) fail();
    else writes.then(fail, fail);
  }

  #fail(error: Uint8Array): void {
    this.#instance.host.stream.writer.frame(FrameKind.Error, this.#ref, 0, error);
    this.#end();
  }

  /** Its slot is free. */
  #stopped(): void {
    this.#instance.stopped(this, this.#instance.host.clock.monotonic() - this.#begunAt);
  }

  #end(): void {
    const { host } = this.#instance;
    const hasSent = this.#state.phase === 'sending';
    this.#state = done;
    host.callEnded(this.#ref);
    if (!hasSent) this.#stopped();
  }
}
