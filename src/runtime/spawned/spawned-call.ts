import type { Clock, Random, Timer } from '../../common/clock.js';
import { HoldfastError, isHoldfastError } from '../../common/errors.js';
import type { MethodManifest } from '../../common/manifest.js';
import type { OpenCall } from '../../common/ports/call-store.js';
import { mayRetry, pauseMs } from '../../common/retry.js';
import { type CallProgress, isEnded, mostCallBytes, type SpawnedState } from '../../common/spawned-call.js';
import { decodeError, encodeError } from '../../wire/errors.js';
import { readBody, readCredit, readPayload } from '../../wire/frames/frame-reader.js';
import { CancelReason, chunkWindowBytes, FrameKind, frameOffsets } from '../../wire/frames/frames.js';
import { callFrame } from '../calls/call-frame.js';
import { type Caller, type StartGate, WorkerCall } from '../calls/worker-call.js';
import type { Instance } from '../instances/instance.js';
import type { CallJournal } from './call-journal.js';
import { OutgoingArguments } from './outgoing-arguments.js';

export interface SpawnedParts {
  readonly instance: Instance;
  readonly journal: CallJournal;
  readonly clock: Clock;
  readonly random: Random;
  /** This activation has done with it, and the store knows it when that resolves; `away`: another one goes on with it. */
  readonly left: (call: SpawnedCall, how: 'ended' | 'away', stored: Promise<boolean>) => void;
}

/** What `cancel` of a spawned call came to. */
export type CancelOutcome = 'never-ran' | 'aborted' | 'already-finished';

type Phase =
  | { readonly phase: 'new' }
  | { readonly phase: 'refused'; readonly why: HoldfastError | 'moved' }
  /** Waits for a slot, or has one. */
  | { readonly phase: 'admitted'; readonly call: WorkerCall }
  | { readonly phase: 'pausing'; readonly timer: Timer }
  | { readonly phase: 'left' };

/** A poisoned call must not kill one worker after the other. */
export const mostLosses = 16;
/** Its instance is full: it was admitted once, so it comes again. */
const fullPauseMs = 500;

/**
 * One spawned call in one activation, over its attempts. Nobody waits for it: what it comes to is recorded.
 *
 * I1. The code of a call that may not run twice begins only when the store knows that it does (R4).
 * I2. It is admitted as every call is; after that it is never refused for want of room.
 */
export class SpawnedCall implements Caller, StartGate {
  readonly record: OpenCall;
  readonly #parts: SpawnedParts;
  readonly #method: MethodManifest;
  readonly #args: OutgoingArguments;
  #progress: CallProgress;
  #phase: Phase = { phase: 'new' };
  #mayBegin = false;
  #isCancelled = false;
  /** Of a result that comes in parts. */
  #result: Buffer[] = [];
  #resultBytes = 0;

  constructor(
    parts: SpawnedParts,
    of: { readonly record: OpenCall; readonly method: MethodManifest; readonly args: Uint8Array },
  ) {
    this.#parts = parts;
    this.record = of.record;
    this.#method = of.method;
    this.#args = new OutgoingArguments(of.args);
    this.#progress = of.record.progress;
  }

  /** It waits for the time of its next attempt. */
  get isPausing(): boolean {
    return this.#phase.phase === 'pausing';
  }

  /** For the first time: its place in the queue is taken, or it is refused. @throws why */
  begin(): 'admitted' | 'moved' {
    // What may not run twice waits for its record: a worker that is killed before would leave none, and be asked again.
    const { isIdempotent } = this.record.head;
    this.#mayBegin = isIdempotent;
    const call = this.#enter({ isFirst: true });
    if (this.#phase.phase === 'refused') {
      const { why } = this.#phase;
      if (why === 'moved') return why;
      throw why;
    }
    if (isIdempotent) {
      this.#mayBegin = call.container !== null;
      if (this.#mayBegin) this.#advance({ state: 'running', startedAtMs: this.#nowMs });
    }
    return 'admitted';
  }

  /** @returns whether the store has it */
  recorded(): Promise<boolean> {
    return this.#parts.journal.add({ ...this.record, progress: this.#progress }, this.#args.bytes);
  }

  /** It was admitted by an earlier activation, or its pause is over. */
  goOn(): void {
    this.#mayBegin = false;
    this.#enter({ isFirst: false });
  }

  /** Asked before its code begins (I1). */
  mayBegin(later: () => void): boolean {
    if (this.#mayBegin) return true;
    this.#mayBegin = true;
    this.#advance({ state: 'running', startedAtMs: this.#nowMs });
    const stored = this.#parts.journal.progress(this.record.id, this.#progress);
    if (this.record.head.isIdempotent) return true;
    void stored.then((isStored) => {
      if (isStored) later();
    });
    return false;
  }

  /** Null: another activation has it by now, ask there. */
  async cancel(): Promise<CancelOutcome | null> {
    const { attempt, losses } = this.#progress;
    if (this.#phase.phase === 'left') return isEnded(this.#progress) ? 'already-finished' : null;
    const isInside = this.#phase.phase === 'admitted' && this.#phase.call.container !== null;
    const hasRun = isInside || attempt > 1 || losses > 0;
    this.#isCancelled = true;
    if (this.#phase.phase === 'admitted') {
      this.#parts.instance.calls.cancel(this.#phase.call, CancelReason.caller);
    } else {
      const outcome = hasRun ? 'ran' : 'not-run';
      this.#end('cancelled', new HoldfastError('Cancelled', `${this.#label} was cancelled`, { outcome }));
    }
    await this.#parts.journal.settled();
    if (this.#parts.journal.isOver) return null;
    return hasRun ? 'aborted' : 'never-ran';
  }

  /** This activation leaves, while it waits between two attempts. */
  leave(isClosing: boolean): void {
    if (this.#phase.phase !== 'pausing') return;
    if (isClosing) this.#end('failed', new HoldfastError('InstanceClosed', `${this.#label}: its instance was closed`));
    else this.#away({});
  }

  forward(frame: Buffer): void {
    if (this.#phase.phase !== 'admitted') return;
    const { call } = this.#phase;
    switch (frame[frameOffsets.kind]) {
      case FrameKind.Error:
        return this.#failed(decodeError(readBody(frame)), Buffer.from(readBody(frame)));
      case FrameKind.Credit:
        for (const chunk of this.#args.chunks(readCredit(frame))) call.chunk(chunk);
        return;
      case FrameKind.Result: {
        const { total, bytes } = readPayload(frame);
        if (total > mostCallBytes) return this.#refuseResult(call, total);
        this.#result = [];
        this.#resultBytes = total;
        return this.#take(call, bytes, chunkWindowBytes);
      }
      case FrameKind.Chunk: {
        const bytes = readBody(frame);
        return this.#take(call, bytes, bytes.length);
      }
    }
  }

  fail(_ref: number, thrown: unknown): void {
    const error = isHoldfastError(thrown) ? thrown : new HoldfastError('Internal', String(thrown));
    if (this.#phase.phase === 'new') this.#phase = { phase: 'refused', why: error };
    else this.#failed(error, encodeError(error));
  }

  moved(): void {
    if (this.#phase.phase === 'new') this.#phase = { phase: 'refused', why: 'moved' };
    else this.#away({});
  }

  done(): void {
    // Whatever ended it has said how.
  }

  /** It cannot run here, or anywhere. */
  refuse(error: HoldfastError): void {
    this.#end(error.outcome === 'unknown' ? 'lost' : 'failed', error);
  }

  get #nowMs(): number {
    return Math.round(this.#parts.clock.now());
  }

  get #label(): string {
    const { identity, method } = this.record.head;
    return `${identity.app}/${identity.className}/${identity.id}.${method}`;
  }

  /** Only the first time it can be refused, and then by what `begin` says. */
  #enter({ isFirst }: { readonly isFirst: boolean }): WorkerCall {
    const { instance } = this.#parts;
    const call = new WorkerCall({
      ...{ caller: this, ref: 0, instance, method: this.#method, chain: null, deadlineAt: null, trace: null },
      // Whether it has begun must be known here.
      isKeyed: true,
      gate: this,
    });
    this.#args.begin();
    call.argumentBytesToCome = this.#args.bytesToCome;
    const { attempt } = this.#progress;
    if (!isFirst) this.#phase = { phase: 'admitted', call };
    instance.calls.accept(call, callFrame(this.#method.name, this.#args.bytes, attempt === 1 ? null : { attempt }));
    if (this.#phase.phase === 'new') this.#phase = { phase: 'admitted', call };
    return call;
  }

  #take(call: WorkerCall, bytes: Buffer, credit: number): void {
    this.#result.push(Buffer.from(bytes));
    this.#resultBytes -= bytes.length;
    if (this.#resultBytes > 0) return call.container?.credit(call, credit);
    this.#parts.instance.klass.retryBudget.succeeded();
    this.#ended('succeeded', Buffer.concat(this.#result));
  }

  #refuseResult(call: WorkerCall, bytes: number): void {
    const message = `${this.#label}: the result takes ${bytes} bytes, that of a spawned call may take ${mostCallBytes}; put it into a volume, or return where it is`;
    this.#end('failed', new HoldfastError('PayloadTooLarge', message, { outcome: 'ran', details: { bytes } }));
    call.container?.cancel(call, CancelReason.caller);
  }

  /** @param encoded as it travels */
  #failed(error: HoldfastError, encoded: Uint8Array): void {
    if (this.#phase.phase === 'left') return;
    const { instance, clock, random } = this.#parts;
    const { isIdempotent } = this.record.head;
    const { retries } = instance.klass.options;
    if (this.#isCancelled && error.code === 'Cancelled') return this.#ended('cancelled', encoded);
    if (error.code === 'PendingLimitExceeded') return this.#pause(fullPauseMs * (0.5 + random.next()));
    if (error.code === 'OutcomeUnknown') {
      const mayComeBack = isIdempotent && this.#progress.losses < mostLosses;
      if (!mayComeBack) return this.#ended('lost', encoded);
      const losses = this.#progress.losses + 1;
      // A pool goes on with its other containers, and nobody else would run it (P4).
      if (instance.pool === null || instance.refusing !== null) return this.#away({ losses });
      this.#advance({ losses, state: 'queued', startedAtMs: null });
      void this.#parts.journal.progress(this.record.id, this.#progress);
      return this.#pause(0);
    }
    // It was drained: whoever has the instance next runs it again.
    const isCutShort = error.code === 'InstanceClosed' && instance.refusing === 'moving';
    if (isCutShort && isIdempotent) return this.#away({});
    const { attempt } = this.#progress;
    if (!mayRetry(retries, error, attempt)) return this.#ended('failed', encoded);
    this.#advance({ state: 'queued', attempt: attempt + 1, startedAtMs: null });
    void this.#parts.journal.progress(this.record.id, this.#progress);
    // It is kept, so it can wait for as long as the budget wants.
    const failed = { policy: retries, budget: instance.klass.retryBudget, attempt, clock, random };
    this.#pause(pauseMs({ ...failed, mostWaitMs: Number.POSITIVE_INFINITY }) ?? 0);
  }

  #pause(ms: number): void {
    const { instance, clock } = this.#parts;
    this.#phase = { phase: 'pausing', timer: clock.after(ms, () => this.goOn()) };
    if (instance.refusing !== null) this.leave(instance.refusing === 'closing');
  }

  /** Put back: the next activation goes on with it. */
  #away(set: Partial<CallProgress>): void {
    if (this.#phase.phase === 'left') return;
    this.#leave();
    this.#advance({ ...set, state: 'queued', startedAtMs: null });
    this.#parts.left(this, 'away', this.#parts.journal.progress(this.record.id, this.#progress));
  }

  #end(state: SpawnedState, error: HoldfastError): void {
    this.#ended(state, encodeError(error));
  }

  #ended(state: SpawnedState, answer: Uint8Array): void {
    if (this.#phase.phase === 'left') return;
    this.#leave();
    this.#advance({ state, endedAtMs: this.#nowMs });
    this.#parts.left(this, 'ended', this.#parts.journal.end(this.record.id, this.#progress, answer));
  }

  #leave(): void {
    if (this.#phase.phase === 'pausing') this.#phase.timer.cancel();
    this.#phase = { phase: 'left' };
    this.#result = [];
  }

  #advance(set: Partial<CallProgress>): void {
    this.#progress = { ...this.#progress, ...set };
  }
}
