import type { Monotonic } from '../../common/clock.js';
import type { WorkerId } from '../../common/ids.js';
import type { WorkerCall } from '../calls/worker-call.js';
import type { Container } from '../hosting/container.js';
import type { PoolPlace } from './pool-place.js';

/** One container of a pool, with the calls that it runs. */
export class PoolMember {
  readonly container: Container;
  /** The pool's number in the container. */
  readonly slot: number;
  /** Who lends it; null: it is here. */
  readonly workerId: WorkerId | null;
  /** Until it had its class, and its hooks. */
  readonly phasesMs: Readonly<Record<string, number>>;
  /** It is wanted back: it gets no more calls. */
  isRecalled = false;
  /** Since when it runs nothing. */
  idleSince: Monotonic;
  #running = 0;
  #readers = 0;
  #batched = 0;

  constructor({ container, slot, workerId, phasesMs }: PoolPlace, now: Monotonic) {
    this.container = container;
    this.slot = slot;
    this.workerId = workerId;
    this.phasesMs = phasesMs;
    this.idleSince = now;
  }

  /** Calls that hold a slot. */
  get running(): number {
    return this.#running;
  }

  /** Calls beside those. */
  get readers(): number {
    return this.#readers;
  }

  /** Of those, calls that are gathered into batches. */
  get batched(): number {
    return this.#batched;
  }

  get #isIdle(): boolean {
    return this.#running + this.#readers === 0;
  }

  /** Its container has nothing more to say to anybody. */
  get mayLeave(): boolean {
    return this.#isIdle && !this.container.hasCalls;
  }

  /** A batch that is not full yet is filled before another one begins elsewhere. */
  loadFor({ concurrent, method }: WorkerCall): number {
    if (method.batch === undefined) return concurrent ? this.#readers : this.#running;
    const { maxSize } = method.batch;
    return this.#batched % maxSize === 0 ? this.#batched : this.#batched / maxSize - 1;
  }

  began(call: WorkerCall): void {
    this.#count(call, 1);
  }

  ended(call: WorkerCall, now: Monotonic): void {
    this.#count(call, -1);
    if (this.#isIdle) this.idleSince = now;
  }

  #count({ concurrent, method }: WorkerCall, change: 1 | -1): void {
    if (!concurrent) this.#running += change;
    else this.#readers += change;
    if (method.batch !== undefined) this.#batched += change;
  }
}
