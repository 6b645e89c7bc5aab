import type { Clock } from '../../common/clock.js';
import type { CallTimers } from '../calls/call-timers.js';
import type { WorkerCall } from '../calls/worker-call.js';
import type { Instance } from '../instances/instance.js';
import type { Pool } from './pool.js';
import type { PoolMember } from './pool-member.js';

/** The calls of a pool from their slot on: they wait for a container that has one free, in front of those that wait for a slot. */
export class PooledCalls {
  readonly #instance: Instance;
  readonly #pool: Pool;
  readonly #clock: Clock;
  readonly #timers: CallTimers;
  /** Calls that began, and what they had waited for in all: for a slot, then for a container. */
  #begun = 0;
  #slotMs = 0;
  #containerMs = 0;
  /** They have a container's slot, and somebody must know it before they begin. */
  readonly #gated = new Set<WorkerCall>();

  constructor(instance: Instance, pool: Pool, deps: { readonly clock: Clock; readonly timers: CallTimers }) {
    this.#instance = instance;
    this.#pool = pool;
    this.#clock = deps.clock;
    this.#timers = deps.timers;
  }

  /** Those that no container has yet. */
  get waiting(): number {
    return this.#pool.waiting + this.#gated.size;
  }

  get waited(): { readonly begun: number; readonly waitedMs: Readonly<Record<string, number>> } {
    return { begun: this.#begun, waitedMs: { slot: this.#slotMs, container: this.#containerMs } };
  }

  /** It has no slot yet. */
  queued(call: WorkerCall): void {
    call.queuedAt = this.#clock.monotonic();
  }

  /** It has a slot. @param frame copied where it has to wait */
  start(call: WorkerCall, frame: Buffer): void {
    const member = this.#pool.memberNow(call);
    if (member === null) {
      call.held = Buffer.from(frame);
      this.#pool.wait(call);
    } else {
      this.#startAt(member, call, frame);
    }
    this.#pool.scale();
  }

  /** The pool has another container, or one of them a slot free: whoever has waited longest for that begins. */
  dispatch(): void {
    if (!this.#instance.mayRun()) return;
    for (let next = this.#pool.next(); next !== null; next = this.#pool.next()) {
      const { call, member } = next;
      const frame = call.held;
      call.held = null;
      if (frame !== null) this.#startAt(member, call, frame);
    }
    this.#pool.scale();
  }

  /** Its code has stopped. */
  ended(call: WorkerCall): void {
    const { member } = call;
    if (member === null) return;
    member.ended(call, this.#clock.monotonic());
    if (member.isRecalled) this.#pool.returnIfIdle(member);
  }

  /** The last part of its answer, after its code had stopped. */
  sent({ member }: WorkerCall): void {
    if (member?.isRecalled) this.#pool.returnIfIdle(member);
  }

  /** False: it does not wait here. */
  withdraw(call: WorkerCall): boolean {
    if (this.#gated.delete(call)) {
      this.ended(call);
      return true;
    }
    return this.#pool.withdraw(call);
  }

  takeAll(): WorkerCall[] {
    const gated = [...this.#gated];
    for (const call of gated) this.withdraw(call);
    return [...gated, ...this.#pool.takeWaiting()];
  }

  #startAt(member: PoolMember, call: WorkerCall, frame: Buffer): void {
    call.member = member;
    member.began(call);
    if (call.gate?.mayBegin(() => this.#letIn(call)) === false) {
      call.held = Buffer.from(frame);
      this.#gated.add(call);
      return;
    }
    this.#begin(member, call, frame);
  }

  /** Its gate has opened, unless it has left meanwhile. Where its container is gone it looks for another one. */
  #letIn(call: WorkerCall): void {
    const { held: frame, member } = call;
    if (frame === null || member === null || !this.#instance.mayRun() || !this.#gated.delete(call)) return;
    call.held = null;
    if (member.container.isUsable) return this.#begin(member, call, frame);
    this.ended(call);
    this.start(call, frame);
  }

  #begin(member: PoolMember, call: WorkerCall, frame: Buffer): void {
    call.trace?.running();
    const { queuedAt, startedAt } = call;
    const leftMs = this.#timers.started(call);
    this.#begun += 1;
    if (queuedAt !== 0) this.#slotMs += startedAt - queuedAt;
    this.#containerMs += call.startedAt - startedAt;
    member.container.start(call, frame, leftMs);
  }
}
