import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import type { Clock, Monotonic } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import type { BootId } from '../../common/ids.js';
import type { GuardedContainer, Watchdog } from '../../common/ports/watchdog.js';
import { removeLeftover } from '../isolation/leftovers.js';
import { onMessages, sendMessage } from './socket-messages.js';
import type { WatchdogAnswer, WatchdogOrder } from './watchdog-messages.js';

export interface WatchdogOptions {
  /** Path of cli/watchdog-main.js. */
  readonly entry: string;
  readonly bootId: BootId;
  /** Handed to the process's `openStore`, over the socket because it may hold passwords. */
  readonly store: unknown;
  /** Nothing is killed before it; see `extend`. */
  readonly deadline: Monotonic;
  readonly leaseTtlMs: number;
  /** Folders of the boot's cgroups, which the watchdog removes at the end. */
  readonly cgroupParents: readonly string[];
  /** Of the boot's own, which the watchdog removes after that with all that is in them. Default: none. */
  readonly folders?: readonly string[];
  /** The whole environment of the process. */
  readonly env: Readonly<Record<string, string>>;
  readonly clock: Clock;
}

const startTimeoutMs = 10_000;
const guardTimeoutMs = 5_000;
/** Over the life of a lease, for which the process may try to release it. */
const stopGraceMs = 5_000;

/** Starts the process beside the worker. @throws Unavailable where it does not come up */
export async function startWatchdog(options: WatchdogOptions): Promise<Watchdog> {
  const child = spawn(process.execPath, ['--max-old-space-size=64', options.entry], {
    // A session of its own: Ctrl-C, or a kill of the worker's group, must not take it.
    detached: true,
    stdio: ['ignore', 'ignore', 'inherit', 'pipe'],
    env: { ...options.env },
    cwd: '/',
  });
  const watchdog = new WatchdogProcess(child, options);
  await watchdog.ready();
  return watchdog;
}

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: HoldfastError) => void;
}

class WatchdogProcess implements Watchdog {
  readonly died: Promise<void>;
  readonly #child: ChildProcess;
  readonly #socket: Socket;
  readonly #options: WatchdogOptions;
  /** By container id; '' waits for the process itself. */
  readonly #waiting = new Map<string, Waiter>();
  #isDead = false;

  constructor(child: ChildProcess, options: WatchdogOptions) {
    this.#child = child;
    this.#options = options;
    this.#socket = child.stdio[3] as Socket;
    this.died = new Promise((resolve) => {
      const onEnd = (): void => {
        this.#onEnd();
        resolve();
      };
      child.once('exit', onEnd);
      child.once('error', onEnd);
      this.#socket.once('close', onEnd);
    });
    this.#socket.on('error', () => {
      // 'close' follows, and is what counts.
    });
    onMessages<WatchdogAnswer>(this.#socket, (answer) => this.#onAnswer(answer));
  }

  async ready(): Promise<void> {
    const { bootId, deadline, leaseTtlMs, store, cgroupParents, folders = [] } = this.#options;
    const ready = this.#answered('', startTimeoutMs);
    this.#send({ type: 'start', bootId, deadline, leaseTtlMs, store, cgroupParents, folders });
    try {
      await ready;
    } catch (error) {
      this.#child.kill('SIGKILL');
      throw error;
    }
    // It must not keep a worker alive that has nothing left to do.
    this.#child.unref();
    this.#socket.unref();
  }

  guard(container: GuardedContainer): Promise<void> {
    const guarded = this.#answered(container.containerId, guardTimeoutMs);
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
    this.#child.ref();
    this.#send({ type: 'stop' });
    const enough = new AbortController();
    const late = this.#options.clock
      .sleep(this.#options.leaseTtlMs + stopGraceMs, enough.signal)
      .catch(() => undefined);
    // Where it is late it goes on by itself: the lease has run out, and it is the worker that has nothing to wait for.
    await Promise.race([this.died, late]);
    enough.abort();
    this.#child.unref();
    if (this.#isDead && this.#child.exitCode !== 0) await this.#removeLeft();
  }

  /** It was killed, so this is the worker's to do: a sweep spares what belongs to a process that lives. */
  async #removeLeft(): Promise<void> {
    const { cgroupParents: cgroups, folders = [], clock } = this.#options;
    await removeLeftover({ cgroups, folders }, clock); // what stays is found when the worker starts next
  }

  #send(order: WatchdogOrder): void {
    if (!this.#isDead) sendMessage(this.#socket, order);
  }

  #answered(key: string, timeoutMs: number): Promise<void> {
    if (this.#isDead) return Promise.reject(this.#failure('has ended', key));
    return new Promise((resolve, reject) => {
      const timer = this.#options.clock.after(timeoutMs, () => {
        this.#waiting.delete(key);
        reject(this.#failure(`did not answer within ${timeoutMs} ms`, key));
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
    for (const [key, waiter] of this.#waiting) waiter.reject(this.#failure('has ended', key));
  }

  #failure(what: string, key: string): HoldfastError {
    const { bootId } = this.#options;
    const where = key === '' ? '' : ` while container ${key} was to be guarded`;
    return new HoldfastError(
      'Unavailable',
      `the watchdog of boot ${bootId} ${what}${where}; the worker cannot run user code without it`,
      {
        details: { bootId },
      },
    );
  }
}
