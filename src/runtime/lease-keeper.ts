import { setMaxListeners } from 'node:events';
import type { Clock, Monotonic } from '../common/clock.js';
import type { LeaseRecord, LeaseTimes } from '../common/lease.js';
import type { Store } from '../common/ports/store.js';
import type { Watchdog } from '../common/ports/watchdog.js';

export type LeaseEnd = 'refused' | 'expired' | 'watchdog-died' | 'stopped';

/**
 * This boot's right to run (S6, S7).
 *
 * I1. `mayRun()` compares the clock with the time from before the last good renewal was sent; no timer is trusted.
 * I2. Once it has said no, it says no for ever: the watchdog may have killed the containers at that moment.
 * I3. The watchdog learns of each renewal; without it this boot is over.
 * I4. A renewal counts once every server of the store that took over from another one knows what runs here (S10).
 */
export class LeaseKeeper {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #times: LeaseTimes;
  readonly #lease: LeaseRecord;
  readonly #over = new AbortController();
  #watchdog: Watchdog | null = null;
  #attest: () => Promise<void> = async () => undefined;
  /** Those that know what runs here. */
  #servers: ReadonlySet<string> = new Set();
  #renewedAt: Monotonic = 0;
  #renewing: Promise<void> | null = null;

  constructor(lease: LeaseRecord, deps: { readonly store: Store; readonly clock: Clock; readonly times: LeaseTimes }) {
    this.#lease = lease;
    this.#store = deps.store;
    this.#clock = deps.clock;
    this.#times = deps.times;
    // Each change of a pin that waits for the store listens to it: as many as there are instances.
    setMaxListeners(0, this.#over.signal);
  }

  /** Aborted with a `LeaseEnd` as reason when this boot is over. */
  get over(): AbortSignal {
    return this.#over.signal;
  }

  get ageMs(): number {
    return this.#clock.monotonic() - this.#renewedAt;
  }

  get deadline(): Monotonic {
    return this.#renewedAt + this.#times.fenceAfterMs;
  }

  mayRun(): boolean {
    if (this.#over.signal.aborted) return false;
    if (this.#clock.monotonic() < this.deadline) return true;
    this.end('expired');
    return false;
  }

  /** Takes the lease. @throws Unavailable */
  async take(): Promise<void> {
    const sentAt = this.#clock.monotonic();
    const servers = await this.#store.servers();
    await this.#store.leases.create(this.#lease, this.#times.ttlMs);
    this.#servers = new Set(servers);
    this.#renewedAt = sentAt;
  }

  /** Renews until this boot is over. @param attest tells the store what runs here (S10); rejects where it could not */
  keep(watchdog: Watchdog, attest: () => Promise<void>): void {
    this.#watchdog = watchdog;
    this.#attest = attest;
    watchdog.extend(this.deadline);
    void watchdog.died.then(() => this.end('watchdog-died'));
    this.#renewing = this.#renewForEver();
  }

  end(why: LeaseEnd): void {
    if (!this.#over.signal.aborted) this.#over.abort(why);
  }

  async ended(): Promise<void> {
    await this.#renewing;
  }

  async #renewForEver(): Promise<void> {
    while (this.mayRun()) {
      const sentAt = this.#clock.monotonic();
      await this.#renew(sentAt);
      const pauseMs = sentAt + this.#times.renewEveryMs - this.#clock.monotonic();
      await this.#clock.sleep(Math.max(0, pauseMs), this.over).catch(() => undefined); // over: the loop's condition sees it
    }
  }

  /** A store that does not answer is asked again in a second; only time or a refusal ends the lease. */
  async #renew(sentAt: Monotonic): Promise<void> {
    const [answer, servers] = await Promise.all([
      this.#renewOrMake().catch(() => null),
      this.#store.servers().catch(() => null),
    ]);
    if (answer === 'refused') return this.end('refused');
    if (answer === null || servers === null || !this.mayRun()) return;
    if (servers.some((server) => !this.#servers.has(server))) {
      const isAttested = await this.#attest().then(
        () => true,
        () => false, // the store is away once more: asked again in a second
      );
      if (!isAttested || !this.mayRun()) return;
    }
    this.#servers = new Set(servers);
    this.#renewedAt = sentAt;
    this.#watchdog?.extend(this.deadline);
  }

  /** This boot is within its deadline, so nobody else has been given what it has (S10). */
  async #renewOrMake(): Promise<'renewed' | 'refused'> {
    const { leases } = this.#store;
    const answer = await leases.renew(this.#lease.bootId, this.#times.ttlMs);
    if (answer !== 'forgotten') return answer;
    if (!this.mayRun()) return 'refused';
    await leases.create(this.#lease, this.#times.ttlMs);
    return 'renewed';
  }
}
