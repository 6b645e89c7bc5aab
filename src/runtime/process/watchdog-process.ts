import type { Clock, Monotonic } from '../../common/clock.js';
import type { BootId } from '../../common/ids.js';
import type { GuardedContainer } from '../../common/ports/watchdog.js';
import type { Kernel, KilledContainer } from './kernel.js';
import type { WatchdogAnswer, WatchdogOrder } from './watchdog-messages.js';

/** What the watchdog needs of the store. */
export interface LeaseReleaser {
  release(bootId: BootId): Promise<void>;
}

/** To the worker; its end is the worker's death. */
export interface OrderPort {
  listen(handlers: { readonly onOrder: (order: WatchdogOrder) => void; readonly onClosed: () => void }): void;
  answer(answer: WatchdogAnswer): void;
}

export interface WatchdogProcessOptions {
  readonly orders: OrderPort;
  readonly kernel: Kernel;
  readonly clock: Clock;
  readonly openLeases: (store: unknown) => Promise<LeaseReleaser>;
  readonly log: (line: string) => void;
}

type Start = Extract<WatchdogOrder, { type: 'start' }>;

const checkEveryMs = 100;
const firstPollMs = 1;
const longestPollMs = 50;
const firstRetryMs = 50;
const longestRetryMs = 1_000;

/**
 * The whole life of a watchdog process; resolves when the containers are gone and the lease is released.
 *
 * I1. The lease is released only after every guarded container was seen dead (S7).
 * I2. A renewal that the worker sent in time is read before the deadline is judged.
 * I3. Whatever ends the watch (worker dead, deadline, stop) ends in the same way: kill, see dead, release.
 */
export async function runWatchdog(options: WatchdogProcessOptions): Promise<void> {
  const watch = new Watch(options);
  const end = await watch.ended();
  if (end === null) return;
  if (end.why !== 'stopped')
    options.log(`watchdog of boot ${end.start.bootId}: ${end.why}; killing ${watch.guarded.size} containers`);
  await killUntilGone(watch.guarded, options.clock);
  options.kernel.removeCgroups(end.start.cgroupParents);
  await releaseLease(end.start, options);
  for (const folder of end.start.folders) await removeFolder(folder, options);
}

/** What the worker says, until it stops saying anything. */
class Watch {
  readonly guarded = new Map<string, KilledContainer>();
  readonly #options: WatchdogProcessOptions;
  readonly #over = new AbortController();
  #start: Start | null = null;
  #deadline: Monotonic = 0;

  constructor(options: WatchdogProcessOptions) {
    this.#options = options;
    options.orders.listen({
      onOrder: (order) => this.#obey(order),
      onClosed: () => this.#over.abort('the worker is dead'),
    });
  }

  /** Null: the worker died before it had said who it is, so there is nothing to do. */
  async ended(): Promise<{ readonly start: Start; readonly why: string } | null> {
    const { signal } = this.#over;
    while (!signal.aborted) {
      if (this.#isPastDeadline()) {
        await this.#readWhatHasCome();
        if (this.#isPastDeadline()) this.#over.abort('the worker is past its deadline');
      }
      // Rejects only with the abort, which ends the loop.
      await this.#options.clock.sleep(checkEveryMs, signal).catch(() => undefined);
    }
    return this.#start === null ? null : { start: this.#start, why: String(signal.reason) };
  }

  #obey(order: WatchdogOrder): void {
    switch (order.type) {
      case 'start':
        this.#start = order;
        this.#deadline = order.deadline;
        this.#options.orders.answer({ type: 'ready' });
        return;
      case 'guard':
        this.#guard(order.container);
        return;
      case 'release':
        this.guarded.delete(order.containerId);
        return;
      case 'extend':
        this.#deadline = Math.max(this.#deadline, order.deadline);
        return;
      case 'stop':
        this.#over.abort('stopped');
        return;
      default:
        order satisfies never;
    }
  }

  #guard(container: GuardedContainer): void {
    const { containerId } = container;
    this.guarded.set(containerId, this.#options.kernel.container(container));
    // Past the end it is killed with the rest, and the worker never gets its word: no user code runs in it.
    if (!this.#over.signal.aborted) this.#options.orders.answer({ type: 'guarded', containerId });
  }

  #isPastDeadline(): boolean {
    return this.#start !== null && this.#options.clock.monotonic() > this.#deadline;
  }

  /** I2: timers run before sockets are read, so a watchdog that was starved would judge by old news. */
  async #readWhatHasCome(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/**
 * Without an end of its own: as long as something runs, the lease must not be released (I1). The map may still change: a guard
 * order that was under way joins, a released container leaves.
 */
async function killUntilGone(guarded: ReadonlyMap<string, KilledContainer>, clock: Clock): Promise<void> {
  for (let pollMs = firstPollMs; ; pollMs = Math.min(pollMs * 2, longestPollMs)) {
    const running = [...guarded.values()].filter((container) => !container.isGone());
    if (running.length === 0) break;
    for (const container of running) container.kill();
    await clock.sleep(pollMs);
  }
  for (const container of guarded.values()) container.removeCgroups();
}

/** Nobody waits for it: disks of sandboxes can be large, and a worker's next start would remove them too. */
async function removeFolder(folder: string, { kernel, log }: WatchdogProcessOptions): Promise<void> {
  await kernel.removeFolder(folder).catch((error: unknown) => {
    log(`the watchdog could not remove ${folder}: ${String(error)}; holdfast doctor --fix removes it`);
  });
}

/** Until it succeeds, or the lease has surely run out by itself. */
async function releaseLease(start: Start, options: WatchdogProcessOptions): Promise<void> {
  const { clock } = options;
  const expired = clock.monotonic() + start.leaseTtlMs;
  let leases: LeaseReleaser | null = null;
  for (let retryMs = firstRetryMs; ; retryMs = Math.min(retryMs * 2, longestRetryMs)) {
    try {
      leases ??= await options.openLeases(start.store);
      await leases.release(start.bootId as BootId);
      return;
    } catch (error) {
      options.log(`watchdog of boot ${start.bootId}: the lease is not released yet: ${String(error)}`);
    }
    if (clock.monotonic() >= expired) return;
    await clock.sleep(retryMs);
  }
}
