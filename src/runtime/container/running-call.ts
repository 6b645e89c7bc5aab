import type { Activation } from '../../common/activation.js';
import type { Monotonic } from '../../common/clock.js';
import type { CallContext, CallLink, Logger } from '../../common/context.js';
import { HoldfastError, isHoldfastError } from '../../common/errors.js';
import { decodeArgs, encodeValue } from '../../wire/codec.js';
import { encodeError, encodeUserError } from '../../wire/errors.js';
import { readMeta } from '../../wire/frame-bodies.js';
import type { IncomingCall } from '../../wire/frame-reader.js';
import { CallFlag, type CallMeta, CancelReason, FrameKind, inlinePayloadBytes } from '../../wire/frames.js';
import { cancelError } from './cancel-error.js';
import { GeneratorPump, type PumpEnd } from './generator-pump.js';
import type { HostedInstance } from './hosted-instance.js';
import { IncomingPayload } from './incoming-payload.js';
import { OutgoingPayload } from './outgoing-payload.js';
import { createYieldSink } from './yield-sink.js';

type CallState =
  | { readonly phase: 'receiving'; readonly payload: IncomingPayload }
  | { readonly phase: 'running' }
  | { readonly phase: 'streaming'; readonly pump: GeneratorPump }
  | { readonly phase: 'sending'; readonly result: OutgoingPayload }
  | { readonly phase: 'done' };

// Shared, so that the common call allocates no state.
const running: CallState = { phase: 'running' };
const done: CallState = { phase: 'done' };
const noChain: readonly CallLink[] = [];

/**
 * One call in its container, and the context of its code: what the code may ask for is made when it asks.
 *
 * I1. It answers exactly once: Result, Error or End; the last frame is followed by `callEnded`.
 * I2. It holds a large payload only while it runs: arguments come, and results go, on credit.
 */
export class RunningCall implements CallContext {
  readonly #instance: HostedInstance;
  readonly #ref: number;
  readonly #method: string;
  readonly #isGenerator: boolean;
  readonly #meta: CallMeta | null;
  readonly deadline: Monotonic | null;
  #state: CallState = running;
  #cancelled: HoldfastError | null = null;
  #wasAbandoned = false;
  #controller: AbortController | null = null;
  #log: Logger | null = null;
  #chain: readonly CallLink[] | null = null;

  /** @throws InvalidArgument for a meta that is none */
  constructor(instance: HostedInstance, ref: number, head: IncomingCall) {
    this.#instance = instance;
    this.#ref = ref;
    this.#method = head.method;
    this.#isGenerator = (head.flags & CallFlag.generator) !== 0;
    this.#meta = head.meta === null ? null : readMeta(head.meta);
    this.deadline = head.remainingMs === 0 ? null : instance.host.clock.monotonic() + head.remainingMs;
  }

  get appName(): string {
    return this.#instance.host.appName;
  }

  get className(): string {
    return this.#instance.facts.className;
  }

  get instanceId(): string {
    return this.#instance.facts.id;
  }

  get epoch(): number {
    return this.#instance.facts.epoch;
  }

  get restarted(): boolean {
    return this.#instance.facts.restarted;
  }

  get callId(): string {
    return `${this.#instance.host.containerId}.${this.#ref}`;
  }

  get attempt(): number {
    return this.#meta?.attempt ?? 1;
  }

  get traceparent(): string | null {
    return this.#meta?.traceparent ?? null;
  }

  get chain(): readonly CallLink[] {
    this.#chain ??= [...(this.#meta?.chain ?? noChain), { callId: this.callId, label: this.#label }];
    return this.#chain;
  }

  get log(): Logger {
    this.#log ??= this.#instance.host.logs.logger({ slot: this.#instance.slot, callId: this.callId });
    return this.#log;
  }

  get signal(): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController();
      if (this.#cancelled !== null) this.#controller.abort(this.#cancelled);
    }
    return this.#controller.signal;
  }

  /** @param first all of the payload, or its beginning */
  begin(first: Uint8Array, payloadBytes: number): void {
    if (first.length === payloadBytes) {
      this.#run(first);
      return;
    }
    const payload = new IncomingPayload(payloadBytes, first);
    this.#state = { phase: 'receiving', payload };
    this.#giveCredit(payload);
  }

  /** @throws InvalidArgument for a chunk that was not asked for */
  onChunk(chunk: Uint8Array): void {
    // Chunks of a call that was cancelled meanwhile were under way.
    if (this.#state.phase !== 'receiving') return;
    const { payload } = this.#state;
    payload.append(chunk);
    if (payload.isComplete) this.#run(payload.bytes);
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
    switch (state.phase) {
      case 'receiving':
        this.#fail(encodeError(cancelError(this.#label, reason, 'not-run')));
        return;
      case 'running':
        this.#abort(reason);
        return;
      case 'streaming':
        this.#abort(reason);
        state.pump.stop();
        return;
      case 'sending':
        this.#fail(encodeError(cancelError(this.#label, reason, 'ran')));
        return;
      case 'done':
        return;
      default:
        state satisfies never;
    }
  }

  get #label(): string {
    return `${this.#instance.label}.${this.#method}`;
  }

  #abort(reason: CancelReason): void {
    if (this.#cancelled !== null) return;
    this.#cancelled = cancelError(this.#label, reason, 'ran');
    this.#wasAbandoned = reason === CancelReason.abandoned;
    this.#controller?.abort(this.#cancelled);
  }

  #giveCredit(payload: IncomingPayload): void {
    const bytes = payload.nextCredit();
    if (bytes === 0) return;
    const { stream } = this.#instance.host;
    const body = Buffer.allocUnsafe(4);
    body.writeUInt32LE(bytes);
    stream.writer.urgent(FrameKind.Credit, this.#ref, body);
    stream.flushNow();
  }

  #run(payload: Uint8Array): void {
    this.#state = running;
    const { activation } = this.#instance;
    if (activation === null || !activation.hasMethod(this.#method)) {
      const why =
        activation === null ? 'is not active in this container' : `has no method ${JSON.stringify(this.#method)}`;
      this.#fail(encodeError(new HoldfastError('NotFound', `${this.#instance.label} ${why}`)));
      return;
    }
    let args: unknown[];
    try {
      args = decodeArgs(payload);
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
      result = activation.invoke(this.#method, args, this);
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
      iterator = activation.generate(this.#method, args, this);
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
    let bytes: Uint8Array;
    try {
      bytes = encodeValue(value, 'result');
    } catch (error) {
      this.#fail(encodeError(afterRunning(error)));
      return;
    }
    const { stream } = this.#instance.host;
    if (bytes.length <= inlinePayloadBytes) {
      stream.writer.payload(FrameKind.Result, this.#ref, 0, bytes.length, bytes);
      this.#end();
      return;
    }
    this.#state = { phase: 'sending', result: new OutgoingPayload(stream, this.#ref, bytes) };
    stream.flushNow();
  }

  #threw(thrown: unknown): void {
    this.#fail(thrown !== null && thrown === this.#cancelled ? encodeError(thrown) : encodeUserError(thrown));
  }

  #fail(error: Uint8Array): void {
    this.#instance.host.stream.writer.frame(FrameKind.Error, this.#ref, 0, error);
    this.#end();
  }

  #end(): void {
    this.#state = done;
    this.#instance.host.callEnded(this.#ref);
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function';
}

/** The codec says `not-run` of a value that it refuses; here the user's code has made the value. */
function afterRunning(error: unknown): unknown {
  if (!isHoldfastError(error)) return error;
  return new HoldfastError(error.code, error.message, { outcome: 'ran', details: error.details, cause: error.cause });
}
