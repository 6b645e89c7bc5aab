import type { Timer } from '../../common/clock.js';
import { runOutsideContext } from '../../common/context.js';
import type { AlarmCall } from '../../common/instance-alarm.js';
import { KeepAlive } from '../sessions/keep-alive.js';
import type { LocalHost } from './local-host.js';
import { invokeLocally } from './local-invoke.js';

const firstRetryMs = 2_000;
const longestRetryMs = 600_000;
/** What a timer can wait for at once. */
const longestWaitMs = 2_147_483_647;
const noRetries = { maxRetries: 0, initialDelayMs: 0, backoffCoefficient: 1, maxDelayMs: 0 };
const keepAlive = new KeepAlive();

/** The alarm of an instance in this process: a timer, which does not keep the process alive. */
export class LocalAlarm {
  readonly #host: LocalHost;
  /** Of the class. */
  readonly #method: string;
  #atMs: number | null = null;
  #timer: Timer | null = null;
  /** Of the alarm that stands; what an older one leaves behind does not count. */
  #number = 0;

  constructor(host: LocalHost, method: string) {
    this.#host = host;
    this.#method = method;
  }

  get atMs(): number | null {
    return this.#atMs;
  }

  set(atMs: number | null): void {
    this.#timer?.cancel();
    this.#atMs = atMs;
    this.#number += 1;
    if (atMs !== null) this.#ringAt(atMs, 0);
  }

  #ringAt(dueMs: number, failures: number): void {
    const { clock } = this.#host;
    const leftMs = Math.max(0, dueMs - clock.now());
    // It is no call of the one that has set it.
    runOutsideContext(() => {
      this.#timer = clock.after(Math.min(leftMs, longestWaitMs), () => {
        if (leftMs > longestWaitMs) this.#ringAt(dueMs, failures);
        else void this.#ring(failures);
      });
    });
  }

  async #ring(failures: number): Promise<void> {
    const number = this.#number;
    const host = this.#host;
    const plan = { name: this.#method, generator: false, idempotent: false, retries: noRetries, budget: null };
    const call: AlarmCall = { scheduledAt: new Date(this.#atMs ?? 0), attempt: failures + 1 };
    try {
      await invokeLocally({ host, plan, concurrent: false, options: null, keepAlive }, [call]);
      if (this.#number === number) this.set(null);
    } catch {
      if (this.#number !== number || host.phase !== 'active') return;
      this.#ringAt(
        host.clock.now() + Math.min(longestRetryMs, firstRetryMs * 2 ** Math.min(failures, 20)),
        failures + 1,
      );
    }
  }
}
