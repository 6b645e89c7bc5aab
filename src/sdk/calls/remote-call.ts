import type { Monotonic, Timer } from '../../common/clock.js';
import { type HoldfastError, isHoldfastError } from '../../common/errors.js';
import { mayRetry, pauseMs } from '../../common/retry.js';
import type { WheelEntry } from '../../common/timer-wheel.js';
import { decodeValue } from '../../wire/codec/codec.js';
import { type CallMeta, CancelReason } from '../../wire/frames/frames.js';
import type { ActiveSpan } from '../../wire/tracing.js';
import type { WorkerSession } from '../sessions/worker-session.js';
import { type Abortable, unwatchAbort, watchAbort } from './abort-fan.js';
import { cancelled, deadlineExceeded, hasExpired, maxMovingMs, outcomeUnknown, streamLost } from './call-errors.js';
import type { IncomingPayload } from './incoming-payload.js';
import type { InstanceTarget } from './instance-target.js';
import type { MethodPlan } from './method-plan.js';
import type { ValueStream } from './value-stream.js';

/** The worker enforces a deadline; without its answer the client gives up this much later. */
const backstopMs = 100;
/** A cancel is answered at once; without the answer the client gives up after this. */
const cancelAnswerMs = 1_000;

/** A worker that refuses this client will refuse it again. */
const refusals: ReadonlySet<string> = new Set(['Unauthenticated', 'PermissionDenied', 'InvalidArgument']);

/** Where a call is: with its target or session until it can be sent, at a worker, between two attempts, or over. */
export type CallPhase = 'waiting' | 'queued' | 'sent' | 'pausing' | 'done';

/** What a call is made of; the rest of it is its progress. */
export interface CallInit {
  readonly target: InstanceTarget;
  readonly plan: MethodPlan;
  readonly payload: Uint8Array;
  /** Null where there is nothing to say but the attempt. */
  readonly meta: CallMeta | null;
  readonly deadline: Monotonic | null;
  readonly signal: AbortSignal | null;
  /** Of the call that makes this one. */
  readonly outerSignal: AbortSignal | null;
  readonly stream: ValueStream | null;
  readonly span: ActiveSpan | null;
}

/**
 * One call, from its start to its settled promise, over all its attempts.
 *
 * I1. It is settled exactly once, and whatever is held for it is let go then.
 * I2. User code runs again only after `not-run`, for idempotent methods, or by the class's `retries` (C6).
 */
export class RemoteCall implements Abortable {
  readonly target: InstanceTarget;
  readonly plan: MethodPlan;
  readonly payload: Uint8Array;
  readonly deadline: Monotonic | null;
  readonly stream: ValueStream | null;
  phase: CallPhase = 'waiting';
  /** Place among the calls of its target. */
  order = 0;
  attempt = 1;
  session: WorkerSession | null = null;
  ref = 0;
  /** The link's batch that carries its first frame. */
  batch = 0;
  sentBytes = 0;
  allowedBytes = 0;
  incoming: IncomingPayload | null = null;
  resolve: (value: unknown) => void = ignore;
  reject: (error: unknown) => void = ignore;
  readonly #init: CallInit;
  #movingSince: Monotonic | null = null;
  #runAgainSince: Monotonic | null = null;
  #runsAgain = 0;
  #timer: WheelEntry | null = null;
  #pause: Timer | null = null;
  #isCancelled = false;
  #isRenewed = false;

  constructor(init: CallInit) {
    this.#init = init;
    this.target = init.target;
    this.plan = init.plan;
    this.payload = init.payload;
    this.deadline = init.deadline;
    this.stream = init.stream;
  }

  get what(): string {
    return `${this.target.label}.${this.plan.name}`;
  }

  get meta(): CallMeta | null {
    const { meta } = this.#init;
    // Whoever has it now may have heard of it.
    if (meta?.spawn !== undefined && this.#runsAgain > 0) return { spawn: { ...meta.spawn, isRepeated: true } };
    return this.attempt === 1 ? meta : { ...meta, attempt: this.attempt };
  }

  /** It was sent once before, and nobody knows what came of that. */
  get isInDoubt(): boolean {
    return this.#runsAgain > 0;
  }

  /** Hands it to its target. A signal that is aborted already costs no frame. */
  start(): void {
    const { signal, outerSignal } = this.#init;
    this.target.host.keepAlive.enter();
    if (signal?.aborted || outerSignal?.aborted) return this.fail(cancelled(this.what, 'not-run'));
    if (signal !== null) watchAbort(signal, this);
    if (outerSignal !== null) watchAbort(outerSignal, this);
    if (this.deadline !== null) this.#arm(this.deadline - this.target.host.clock.monotonic());
    this.target.accept(this);
  }

  /** Milliseconds for the worker; 0: no limit. Null: its time is over. */
  remainingMs(): number | null {
    if (this.deadline === null) return 0;
    const left = Math.ceil(this.deadline - this.target.host.clock.monotonic());
    return left > 0 ? Math.min(left, 0xffff_ffff) : null;
  }

  /** Its whole result is here. @param isOwn nobody else has the bytes */
  answered(bytes: Uint8Array, isOwn = false): void {
    let value: unknown;
    try {
      value = decodeValue(bytes, isOwn);
    } catch (e) {
      return this.fail(e);
    }
    this.#done();
    this.plan.budget?.succeeded();
    this.resolve(value);
  }

  /** The generator is done. */
  ended(): void {
    this.#done();
    this.stream?.end();
  }

  /** An error arrived as its answer. */
  refused(error: HoldfastError): void {
    const isRetried = !this.#isCancelled && !this.stream?.hasBegun;
    // Of a handle that was not used for long. Once: where clocks are that far apart, the next one is no better.
    if (isRetried && !this.#isRenewed && hasExpired(error)) {
      this.#isRenewed = true;
      return this.moved(true);
    }
    if (isRetried && this.#mayRunAgain(error)) return this.#runAgain(error);
    if (isRetried && this.#mayRetry(error)) return this.#retry(error);
    this.fail(error);
  }

  /** Not admitted where it was sent. @param isThere the instance is where it was: only the right to call is over */
  moved(isThere = false): void {
    if (this.#isCancelled) return this.fail(cancelled(this.what, 'not-run'));
    this.#forgetAttempt('waiting');
    this.#movingSince ??= this.target.host.clock.monotonic();
    this.target.takeBack(this, isThere);
  }

  /** Its link is lost. @param isCertain it never reached the worker */
  lost(isCertain: boolean, cause: HoldfastError): void {
    if (isCertain) return refusals.has(cause.code) ? this.fail(cause) : this.moved();
    if (this.#isCancelled) return this.fail(cancelled(this.what, 'unknown'));
    if (this.stream?.hasBegun) return this.fail(streamLost(this.what, cause));
    const error = outcomeUnknown(this.what, cause);
    if (this.#mayRunAgain(error)) return this.#runAgain(error);
    this.fail(error);
  }

  /** The caller's signal, or the one of the call that made this one. */
  aborted(): void {
    if (this.phase === 'done' || this.#isCancelled) return;
    if (this.phase !== 'sent') return this.fail(cancelled(this.what, this.attempt === 1 ? 'not-run' : 'ran'));
    this.#isCancelled = true;
    this.session?.cancel(this, CancelReason.caller);
    this.#arm(Math.min(cancelAnswerMs, this.#leftMs() + backstopMs));
  }

  /** Nobody reads the generator's values any more. */
  abandon(): void {
    if (this.phase === 'done') return;
    if (this.phase === 'sent') this.session?.cancel(this, CancelReason.abandoned);
    this.#leave();
    this.#done();
  }

  /** True for a call without a deadline that has followed its instance for too long. */
  isTiredOfMoving(now: Monotonic): boolean {
    return this.deadline === null && this.#movingSince !== null && now - this.#movingSince > maxMovingMs;
  }

  fail(error: unknown): void {
    if (this.phase === 'done') return;
    this.#leave();
    this.#done(error);
    if (this.stream !== null) this.stream.fail(error);
    else this.reject(error);
  }

  /** An idempotent method may run again, until its deadline, or for a minute where it has none (C6) */
  #mayRunAgain(error: HoldfastError): boolean {
    if (!this.plan.idempotent || error.code !== 'OutcomeUnknown') return false;
    const now = this.target.host.clock.monotonic();
    this.#runAgainSince ??= now;
    return this.deadline !== null ? now < this.deadline : now - this.#runAgainSince < maxMovingMs;
  }

  /** The first time in its old place among the calls of its target. */
  #runAgain(error: HoldfastError): void {
    this.#runsAgain += 1;
    if (this.#runsAgain === 1) {
      this.#forgetAttempt('waiting');
      return this.target.takeBack(this);
    }
    this.#pauseFor(Math.min(2_000, 50 * 2 ** this.#runsAgain), error);
  }

  /** A call with an idempotency key would only get the first one's answer again (C8). */
  #mayRetry(error: HoldfastError): boolean {
    return mayRetry(this.plan.retries, error, this.attempt) && this.#init.meta?.idempotencyKey === undefined;
  }

  #retry(error: HoldfastError): void {
    const { retries: policy, budget } = this.plan;
    const { clock, random } = this.target.host;
    const { attempt } = this;
    const delayMs = pauseMs({ policy, budget, attempt, clock, random, mostWaitMs: policy.maxDelayMs });
    if (delayMs === null) return this.fail(error);
    this.attempt += 1;
    this.#pauseFor(delayMs, error);
  }

  /** An error whose retry could not start before the deadline is the answer. */
  #pauseFor(delayMs: number, error: HoldfastError): void {
    const { clock } = this.target.host;
    if (this.deadline !== null && clock.monotonic() + delayMs >= this.deadline) return this.fail(error);
    this.#forgetAttempt('pausing');
    this.#pause = clock.after(delayMs, () => this.#restart());
  }

  #restart(): void {
    this.#forgetAttempt('waiting');
    this.#movingSince = null;
    this.target.accept(this);
  }

  #forgetAttempt(phase: CallPhase): void {
    this.phase = phase;
    this.#pause = null;
    this.session = null;
    this.incoming = null;
  }

  /** Until its deadline. */
  #leftMs(): number {
    return this.deadline === null ? Number.POSITIVE_INFINITY : this.deadline - this.target.host.clock.monotonic();
  }

  #arm(afterMs: number): void {
    const { wheel } = this.target.host;
    if (this.#timer !== null) wheel.remove(this.#timer);
    this.#timer = wheel.add(Math.max(0, afterMs), () => this.#due());
  }

  #due(): void {
    if (this.phase !== 'sent') {
      const hasRun = this.attempt > 1 || this.#runsAgain > 0;
      return this.fail(deadlineExceeded(this.what, hasRun ? 'unknown' : 'not-run'));
    }
    if (this.#isCancelled) return this.fail(cancelled(this.what, 'unknown'));
    const { clock } = this.target.host;
    const giveUpAt = (this.deadline ?? 0) + backstopMs;
    if (clock.monotonic() < giveUpAt) return this.#arm(giveUpAt - clock.monotonic());
    this.session?.cancel(this, CancelReason.deadline);
    this.fail(deadlineExceeded(this.what, 'unknown'));
  }

  /** Out of wherever it is. */
  #leave(): void {
    if (this.phase === 'waiting') this.target.withdraw(this);
    if (this.phase === 'sent' || this.phase === 'queued') this.session?.forget(this);
    this.#pause?.cancel();
  }

  #done(error?: unknown): void {
    this.phase = 'done';
    this.session = null;
    this.incoming = null;
    const { signal, outerSignal, span } = this.#init;
    const { host } = this.target;
    if (this.#timer !== null) host.wheel.remove(this.#timer);
    if (signal !== null) unwatchAbort(signal, this);
    if (outerSignal !== null) unwatchAbort(outerSignal, this);
    span?.end(isHoldfastError(error) ? error.code : null);
    host.keepAlive.leave();
  }
}

function ignore(): void {
  // A generator's call settles its stream instead.
}
