import type { Clock, Monotonic } from '../../common/clock.js';
import type { Logger } from '../../common/context.js';
import { HoldfastError, isHoldfastError } from '../../common/errors.js';
import type { Channel } from '../../common/ports/channel.js';
import type { TimerWheel } from '../../common/timer-wheel.js';
import { encodeError } from '../../wire/errors.js';
import {
  ControlBatch,
  type ControlReply,
  ControlReplyBatch,
  type ControlRequest,
} from '../../wire/gen/holdfast/v1/router.js';
import { tracing } from '../../wire/tracing.js';
import type { RouterMetrics } from './metrics.js';
import { type InstanceOp, type OperationParts, operate } from './operations.js';
import { OpenRequest, type Principal } from './request.js';

/** Requests whose answers the client has not been sent: beyond it a stream is told to wait. */
const maxOpen = 16_384;
/** Answers, refusals included, that a client has not taken: beyond it the stream is ended. */
const maxUnread = 2 * maxOpen;
/** An answer message is ended after this many. */
const repliesPerMessage = 512;
/** A revoked token ends its streams this long after its last check. */
const recheckEveryMs = 5_000;

export interface ControlParts {
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly log: Logger;
  readonly metrics: RouterMetrics | null;
  readonly operations: OperationParts;
}

/** Who is at the other end. */
export interface ControlClient {
  readonly principal: Principal;
  /** @throws where its token is no longer good */
  readonly authenticate: () => Promise<unknown>;
  readonly onEnded: () => void;
}

// R1. Every request gets exactly one reply, unless its stream ends first.
// R2. A request counts as open until its reply is handed to the channel: a client that does not read cannot make the
//     router collect replies.
// R3. When the stream ends, however it ends, its requests are aborted: nobody could be told.

/** One client's stream of operations: many in flight, answered in any order, the answers of one tick in one message. */
export class ControlStream {
  readonly #parts: ControlParts;
  readonly #client: ControlClient;
  readonly #channel: Channel;
  readonly #open = new Map<number, OpenRequest>();
  #replies: ControlReply[] = [];
  #flushIsDue = false;
  #isBlocked = false;
  #isClosed = false;
  #checkedAt: Monotonic;

  constructor(parts: ControlParts, client: ControlClient, channel: Channel) {
    this.#parts = parts;
    this.#client = client;
    this.#channel = channel;
    this.#checkedAt = parts.clock.monotonic();
    parts.metrics?.streams(1);
    channel.open({
      onMessage: (message) => this.#onMessage(message),
      onDrain: () => {
        this.#isBlocked = false;
        this.#flushSoon();
      },
      onClosed: () => this.#onClosed(),
    });
  }

  /** Ends it in order; the client connects to another router. */
  close(reason: HoldfastError): void {
    this.#channel.close(reason);
  }

  #onMessage(message: Uint8Array): void {
    let requests: ControlRequest[];
    try {
      requests = ControlBatch.decode(message).requests;
    } catch (cause) {
      this.#channel.close(
        new HoldfastError('InvalidArgument', 'the control stream carried a message that is no ControlBatch', { cause }),
      );
      return;
    }
    this.#recheck();
    for (const request of requests) this.#onRequest(request);
  }

  #onRequest({ requestId, remainingMs, traceparent, op }: ControlRequest): void {
    if (op?.$case === 'cancel') {
      this.#open.get(op.value)?.abort(new HoldfastError('Cancelled', 'the caller cancelled the request'));
      return;
    }
    const refusal = this.#refusal(requestId, op);
    if (refusal !== null || op === undefined) {
      this.#reply({ requestId, result: { $case: 'error', value: asBuffer(encodeError(refusal)) } });
      return;
    }
    const request = new OpenRequest(this.#client.principal, remainingMs, this.#parts);
    this.#open.set(requestId, request);
    void this.#traced({ requestId, traceparent, op }, request);
  }

  #refusal(requestId: number, op: InstanceOp | undefined): HoldfastError | null {
    if (op === undefined) return new HoldfastError('InvalidArgument', 'the request asks for nothing this router knows');
    if (this.#open.has(requestId)) {
      return new HoldfastError(
        'InvalidArgument',
        `request ${requestId} is still open on this stream; number requests anew`,
      );
    }
    if (this.#open.size + this.#replies.length < maxOpen) return null;
    return new HoldfastError(
      'Unavailable',
      `this stream has ${maxOpen} requests open, no more are taken; retry when some are answered`,
    );
  }

  async #traced(
    {
      requestId,
      traceparent,
      op,
    }: { readonly requestId: number; readonly traceparent: string; readonly op: InstanceOp },
    request: OpenRequest,
  ): Promise<void> {
    const attributes = { 'holdfast.op': op.$case };
    const parent = traceparent || null;
    const span = tracing.active?.start({ name: 'router.resolve', kind: 'server', parent, attributes });
    const outcome = await this.#run(requestId, op, request);
    span?.end(outcome === 'ok' ? null : outcome);
  }

  /** Answers; returns `ok` or the error's code. */
  async #run(requestId: number, op: InstanceOp, request: OpenRequest): Promise<string> {
    const { clock, metrics, log, operations } = this.#parts;
    const startedAt = clock.monotonic();
    let outcome = 'ok';
    let result: ControlReply['result'];
    try {
      result = await request.race(operate(operations, op, request));
    } catch (error) {
      outcome = isHoldfastError(error) ? error.code : 'Internal';
      if (outcome === 'Internal') log.error('operation.failed', { op: op.$case, error: stackOf(error) });
      result = { $case: 'error', value: asBuffer(encodeError(error)) };
    }
    request.end();
    this.#open.delete(requestId);
    metrics?.countOp(op.$case, outcome, clock.monotonic() - startedAt);
    this.#reply({ requestId, result });
    return outcome;
  }

  #reply(reply: ControlReply): void {
    if (this.#isClosed) return;
    this.#replies.push(reply);
    if (this.#replies.length <= maxUnread) return this.#flushSoon();
    this.#channel.close(
      new HoldfastError('Unavailable', `the client has not read ${maxUnread} answers; connect again`),
    );
  }

  #flushSoon(): void {
    if (this.#flushIsDue || this.#isBlocked || this.#isClosed || this.#replies.length === 0) return;
    this.#flushIsDue = true;
    setImmediate(() => {
      this.#flushIsDue = false;
      this.#flush();
    });
  }

  #flush(): void {
    while (!this.#isBlocked && !this.#isClosed && this.#replies.length > 0) {
      const replies = this.#replies.splice(0, repliesPerMessage);
      this.#isBlocked = !this.#channel.send(ControlReplyBatch.encode({ replies }).finish());
    }
  }

  /** Tokens may be revoked while streams live for days. */
  #recheck(): void {
    const now = this.#parts.clock.monotonic();
    if (now - this.#checkedAt < recheckEveryMs) return;
    this.#checkedAt = now;
    this.#client.authenticate().catch((error: unknown) => {
      // A store that is away says nothing about the token.
      if (isHoldfastError(error) && !error.retryable) this.#channel.close(error);
    });
  }

  #onClosed(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#replies = [];
    this.#parts.metrics?.streams(-1);
    this.#client.onEnded();
    for (const request of this.#open.values())
      request.abort(new HoldfastError('Cancelled', 'the control stream ended'));
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
