import type { Clock } from '../common/clock.js';
import type { WorkerId } from '../common/ids.js';
import type { Bus, BusSubscription } from '../common/ports/bus.js';
import { WorkerHeartbeat } from '../wire/gen/holdfast/v1/bus.js';
import { heartbeatRequestSubject, heartbeatSubject } from '../wire/subjects.js';
import { publishHint } from './hints.js';

const everyMs = 1_000;

/** Tells routers once a second, and whenever they ask, how this worker is; a hint, never authority. */
export class Heartbeat {
  readonly #bus: Bus;
  readonly #clock: Clock;
  readonly #who: { readonly account: string; readonly workerId: WorkerId };
  readonly #state: () => WorkerHeartbeat;
  readonly #asked: BusSubscription;
  readonly #stopped = new AbortController();
  readonly #beating: Promise<void>;

  constructor(
    who: { readonly account: string; readonly workerId: WorkerId },
    deps: { readonly bus: Bus; readonly clock: Clock; readonly state: () => WorkerHeartbeat },
  ) {
    this.#who = who;
    this.#bus = deps.bus;
    this.#clock = deps.clock;
    this.#state = deps.state;
    this.#asked = deps.bus.subscribe(heartbeatRequestSubject(who.account), () => this.beat());
    this.#beating = this.#beatForEver();
  }

  beat(): void {
    const { account, workerId } = this.#who;
    publishHint(
      this.#bus,
      () => heartbeatSubject(account, workerId),
      () => WorkerHeartbeat.encode(this.#state()).finish(),
    );
  }

  async stop(): Promise<void> {
    this.#asked.unsubscribe();
    this.#stopped.abort();
    await this.#beating;
  }

  async #beatForEver(): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      this.beat();
      await this.#clock.sleep(everyMs, signal).catch(() => undefined); // stopped: the condition sees it
    }
  }
}
