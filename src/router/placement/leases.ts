import { LRUCache } from 'lru-cache';
import type { Clock, Monotonic } from '../../common/clock.js';
import type { BootId } from '../../common/ids.js';
import type { LeaseState, LeaseTimes } from '../../common/lease.js';
import type { LeaseStore } from '../../common/ports/store.js';

/**
 * May somebody else activate what this boot has? `held`: no. `ending`: its lease is absent, wait. `over`: it was released,
 * or is absent for long enough (S8).
 */
export type BootState =
  | { readonly phase: 'held'; readonly remainingMs: number }
  | { readonly phase: 'ending'; readonly graceMs: number }
  | { readonly phase: 'over' };

const maxAbsent = 10_000;

/** The leases of boots, the only authority on whether a worker lives. Nothing of a lease that is held is kept. */
export class Leases {
  readonly #store: LeaseStore;
  readonly #clock: Clock;
  readonly #times: LeaseTimes;
  readonly #reading = new Map<BootId, Promise<LeaseState>>();
  // A boot that falls out is only waited for a second time.
  readonly #absentSince = new LRUCache<BootId, Monotonic>({ max: maxAbsent });

  constructor(options: { store: LeaseStore; clock: Clock; times: LeaseTimes }) {
    this.#store = options.store;
    this.#clock = options.clock;
    this.#times = options.times;
  }

  /** @throws Unavailable, StoreQuarantined */
  async look(bootId: BootId): Promise<BootState> {
    const lease = await this.#read(bootId);
    if (lease.phase === 'held') {
      this.#absentSince.delete(bootId);
      return { phase: 'held', remainingMs: lease.remainingMs };
    }
    if (lease.phase === 'released') return { phase: 'over' };
    const now = this.#clock.monotonic();
    const since = this.#absentSince.get(bootId) ?? now;
    this.#absentSince.set(bootId, since);
    const graceMs = since + this.#times.graceMs - now;
    return graceMs > 0 ? { phase: 'ending', graceMs } : { phase: 'over' };
  }

  /** A worker's death makes everybody look at one lease: those of one moment share the read. */
  #read(bootId: BootId): Promise<LeaseState> {
    const reading = this.#reading.get(bootId);
    if (reading !== undefined) return reading;
    const read = this.#store.read(bootId);
    this.#reading.set(bootId, read);
    const done = () => this.#reading.delete(bootId);
    read.then(done, done);
    return read;
  }
}
