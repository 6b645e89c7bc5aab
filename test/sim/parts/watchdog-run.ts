import type { Monotonic } from '../../../src/common/clock.js';
import { HoldfastError } from '../../../src/common/errors.js';
import type { BootId } from '../../../src/common/ids.js';
import type { GuardedContainer, Watchdog } from '../../../src/common/ports/watchdog.js';
import type { WatchdogAnswer, WatchdogOrder } from '../../../src/runtime/process/watchdog-messages.js';
import { runWatchdog } from '../../../src/runtime/process/watchdog-process.js';
import type { SimProcess } from '../engine/sim-process.js';
import { Connection, type ConnectionEnd } from '../net/connection.js';
import type { ClusterContext } from './cluster-context.js';
import type { Machine } from './machine.js';

const guardTimeoutMs = 5_000;
const stopWithinMs = 20_000;
const startsWithinMs = 80;

/** The watchdog's process, with the product's code in it, and the worker's end of it. */
export class WatchdogRun implements Watchdog {
  readonly process: SimProcess;
  readonly died: Promise<void>;
  readonly #worker: SimProcess;
  readonly #end: ConnectionEnd;
  readonly #waiting = new Map<string, { resolve(): void; reject(error: Error): void }>();
  #isDead = false;

  /** @param containers of this boot, by id */
  static async start(
    context: ClusterContext,
    at: {
      readonly machine: Machine;
      readonly worker: SimProcess;
      readonly containers: ReadonlyMap<string, SimProcess>;
    },
    boot: { readonly bootId: BootId; readonly deadline: Monotonic },
  ): Promise<WatchdogRun> {
    const watchdog = new WatchdogRun(context, at);
    const ready = watchdog.#answered('');
    const leaseTtlMs = context.leaseTimes.ttlMs;
    watchdog.#send({ type: 'start', ...boot, leaseTtlMs, store: null, cgroupParents: [], folders: [] });
    await ready;
    return watchdog;
  }

  private constructor(
    context: ClusterContext,
    at: {
      readonly machine: Machine;
      readonly worker: SimProcess;
      readonly containers: ReadonlyMap<string, SimProcess>;
    },
  ) {
    const { machine, worker, containers } = at;
    this.#worker = worker;
    this.process = machine.start(`${worker.name}:watchdog`);
    const { left, right } = new Connection(context.network, worker, this.process);
    this.#end = left;
    this.died = new Promise((resolve) => {
      left.open({
        onMessage: (message) => this.#onAnswer(JSON.parse(Buffer.from(message).toString()) as WatchdogAnswer),
        onDrain: () => undefined,
        onClosed: () => {
          this.#onEnd();
          resolve();
        },
      });
    });
    const { process } = this;
    process.in(process.random.between(5, startsWithinMs), () => {
      const ended = runWatchdog({
        orders: {
          listen: ({ onOrder, onClosed }) =>
            right.open({
              onMessage: (message) => onOrder(JSON.parse(Buffer.from(message).toString()) as WatchdogOrder),
              onDrain: () => undefined,
              onClosed,
            }),
          answer: (answer) => void right.send(Buffer.from(JSON.stringify(answer))),
        },
        kernel: {
          container: ({ containerId }) => {
            const container = containers.get(containerId);
            return {
              kill: () => container !== undefined && machine.kill(container),
              isGone: () => !container?.isAlive,
              removeCgroups: () => undefined,
            };
          },
          removeCgroups: () => undefined,
          removeFolder: async () => undefined,
        },
        clock: process.clock,
        openLeases: async () => context.storeOf(process).leases,
        log: (line) => context.timeline.note(process, line),
      });
      void ended.then(() => process.kill());
    });
  }

  guard(container: GuardedContainer): Promise<void> {
    const guarded = this.#answered(container.containerId);
    this.#send({ type: 'guard', container });
    return guarded;
  }

  release(containerId: string): void {
    this.#send({ type: 'release', containerId });
  }

  extend(deadline: Monotonic): void {
    this.#send({ type: 'extend', deadline });
  }

  async stop(): Promise<void> {
    this.#send({ type: 'stop' });
    const enough = new AbortController();
    const late = this.#worker.clock.sleep(stopWithinMs, enough.signal).catch(() => undefined);
    await Promise.race([this.died, late]);
    enough.abort();
  }

  #send(order: WatchdogOrder): void {
    if (!this.#isDead) this.#end.send(Buffer.from(JSON.stringify(order)));
  }

  #answered(key: string): Promise<void> {
    if (this.#isDead) return Promise.reject(dead(key));
    return new Promise((resolve, reject) => {
      const timer = this.#worker.clock.after(guardTimeoutMs, () => {
        this.#waiting.delete(key);
        reject(dead(key));
      });
      const settled = (settle: () => void): void => {
        timer.cancel();
        this.#waiting.delete(key);
        settle();
      };
      this.#waiting.set(key, { resolve: () => settled(resolve), reject: (error) => settled(() => reject(error)) });
    });
  }

  #onAnswer(answer: WatchdogAnswer): void {
    this.#waiting.get(answer.type === 'ready' ? '' : answer.containerId)?.resolve();
  }

  #onEnd(): void {
    this.#isDead = true;
    for (const [key, waiter] of [...this.#waiting]) waiter.reject(dead(key));
  }
}

function dead(key: string): HoldfastError {
  return new HoldfastError('Unavailable', `the watchdog does not answer for ${key === '' ? 'its boot' : key}`);
}
