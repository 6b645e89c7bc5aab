import type { Monotonic } from '../../common/clock.js';
import { isHoldfastError } from '../../common/errors.js';
import type { LinkedList } from '../../common/linked-list.js';
import type { MailboxCall } from '../../common/mailbox.js';
import type { MethodManifest } from '../../common/manifest.js';
import type { WheelEntry } from '../../common/timer-wheel.js';
import { CallFlag, type CancelReason, type ChainLink, initialYieldCreditBytes } from '../../wire/frames/frames.js';
import type { Container } from '../hosting/container.js';
import type { Instance } from '../instances/instance.js';
import type { PoolMember } from '../pool/pool-member.js';
import { argumentPart } from './call-flow.js';
import type { CallTrace } from './call-trace.js';

/** Where the answers of a call go: a client's session, or the book of keyed calls. */
export interface Caller {
  /** An answer as the container sent it; `ref` is the caller's. */
  forward(frame: Buffer, ref: number): void;
  fail(ref: number, error: unknown): void;
  /** Not admitted here: the caller resolves again. */
  moved(ref: number): void;
  /** No more frames will come for `ref`. */
  done(ref: number): void;
}

/** Who must know it before the code of a call begins. */
export interface StartGate {
  /** False: not yet, `later` is called when it may; until then it keeps its slot. */
  mayBegin(later: () => void): boolean;
}

/** One call between its arrival at the worker and the end of its code. */
export class WorkerCall implements MailboxCall<WorkerCall> {
  readonly caller: Caller;
  /** The caller's number for it. */
  readonly ref: number;
  readonly instance: Instance;
  readonly method: MethodManifest;
  readonly chain: readonly ChainLink[] | null;
  readonly concurrent: boolean;
  /** Others may follow it: whether it has begun must be known here. */
  readonly isKeyed: boolean;
  readonly gate: StartGate | null;
  /** Of the caller; null: none. */
  readonly deadlineAt: Monotonic | null;
  startedAt: Monotonic = 0;
  /** Of a pool: since when it waited for a slot; 0: it did not. */
  queuedAt: Monotonic = 0;
  list: LinkedList<WorkerCall> | null = null;
  previous: WorkerCall | null = null;
  next: WorkerCall | null = null;
  /** A copy of its frame while it waits; the batch that it came in must not be held. */
  held: Buffer | null = null;
  container: Container | null = null;
  /** Of a pool: who runs it. */
  member: PoolMember | null = null;
  /** The container's number for it, once started. */
  containerRef = 0;
  /** The caller has its last answer; what the container still says is dropped. */
  isAnswered = false;
  /** Its code goes on after its answer. */
  isDetached = false;
  /** Its code has stopped; only bytes of its result are still on the way. */
  hasReleased = false;
  /** Of a result or value that came in part. */
  bytesToCome = 0;
  /** Of arguments that came in part. */
  argumentBytesToCome = 0;
  /** Bytes of arguments that the container has asked for and the caller has not sent. */
  argumentCredit = 0;
  /** Bytes of its answer that the caller has asked for and the container has not sent. */
  answerCredit: number;
  /** Sent before it had a slot. */
  isQueued = false;
  /** Why it shall not run, or not on; asked of the container, which has it but has not begun it. */
  stopping: CancelReason | null = null;
  deadline: WheelEntry | null = null;
  /** Its time is over, by this much more its container is killed. */
  overrun: WheelEntry | null = null;
  /** Null where nobody traces. */
  readonly trace: CallTrace | null;

  constructor(init: {
    readonly caller: Caller;
    readonly ref: number;
    readonly instance: Instance;
    readonly method: MethodManifest;
    readonly chain: readonly ChainLink[] | null;
    readonly deadlineAt: Monotonic | null;
    readonly trace: CallTrace | null;
    readonly isKeyed: boolean;
    readonly gate?: StartGate;
  }) {
    this.caller = init.caller;
    this.ref = init.ref;
    this.instance = init.instance;
    this.method = init.method;
    this.chain = init.chain;
    this.concurrent = init.method.concurrent;
    this.isKeyed = init.isKeyed;
    this.gate = init.gate ?? null;
    this.deadlineAt = init.deadlineAt;
    this.trace = init.trace;
    this.answerCredit = init.method.generator ? initialYieldCreditBytes : 0;
  }

  /** The caller's answer, unless it has one. */
  fail(error: unknown): void {
    if (this.isAnswered) return;
    this.isAnswered = true;
    this.trace?.answered(isHoldfastError(error) ? error.code : 'Internal');
    this.caller.fail(this.ref, error);
    this.caller.done(this.ref);
  }

  /** Not admitted: the caller resolves again. */
  moved(): void {
    if (this.isAnswered) return;
    this.isAnswered = true;
    this.trace?.answered('Moved');
    this.caller.moved(this.ref);
    this.caller.done(this.ref);
  }

  /** The container's last frame for it has passed. */
  answered(): void {
    if (this.isAnswered) return;
    this.isAnswered = true;
    this.trace?.answered(null);
    this.caller.done(this.ref);
  }

  /** A chunk of its arguments. @throws InvalidArgument where nobody asked for it */
  chunk(frame: Buffer): void {
    if (this.container === null) return;
    argumentPart(this, frame);
    this.container.chunk(this, frame);
  }

  /** Its container's number for its instance. */
  get slot(): number {
    return this.member === null ? this.instance.slot : this.member.slot;
  }

  /** For its container. */
  get flags(): number {
    const { generator, concurrent } = this.method;
    return (
      (generator ? CallFlag.generator : 0) | (this.isQueued ? CallFlag.queued : 0) | (concurrent ? CallFlag.reader : 0)
    );
  }

  /** As the container knows it too; empty before its start, when it cannot be in anybody's chain. */
  get callId(): string {
    return this.container === null ? '' : `${this.container.id}.${this.containerRef}`;
  }
}
