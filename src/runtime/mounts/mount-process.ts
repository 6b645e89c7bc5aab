import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import type { Clock, Timer } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import { onMessages, sendMessage } from '../process/socket-messages.js';
import { errorOf, type MountAnswer, type MountRequest } from './mount-messages.js';

export interface MountProcessOptions {
  /** Path of cli/mount-main.js. */
  readonly entry: string;
  readonly bootId: string;
  /** Holds a folder for each process of this kind. */
  readonly folder: string;
  /** Path of the built launcher.c. */
  readonly launcher: string;
  readonly cacheBytes: number;
  /** What the process opens its stores by. */
  readonly stores: unknown;
  /** The whole environment of the process. */
  readonly env: Readonly<Record<string, string>>;
  readonly clock: Clock;
}

const startWithinMs = 20_000;
const pingEveryMs = 5_000;
/** One that says nothing for so long is killed: whoever waits for a file of it gets an error. */
const silentMs = 30_000;
const maxHeapMb = 2_048;

interface Waiter {
  readonly resolve: (value: string) => void;
  readonly reject: (error: HoldfastError) => void;
}

/**
 * The process that serves this worker's mounts.
 *
 * I1. Every request ends: with an answer, with its time, or with the process.
 * I2. A process that does not answer is killed, and with it everything that waits for its files.
 */
export class MountProcess {
  readonly died: Promise<void>;
  readonly #child: ChildProcess;
  readonly #socket: Socket;
  readonly #clock: Clock;
  readonly #waiting = new Map<number, Waiter>();
  readonly #over = new AbortController();
  readonly #watchers = new Set<() => void>();
  #last = 0;

  /** @throws Unavailable, with what is missing */
  static async start(options: MountProcessOptions): Promise<MountProcess> {
    const { entry, bootId, folder, launcher, cacheBytes, stores, env, clock } = options;
    const child = spawn(process.execPath, [`--max-old-space-size=${maxHeapMb}`, entry], {
      // A session of its own: Ctrl-C must not take it before it has committed what is to be committed.
      detached: true,
      stdio: ['ignore', 'ignore', 'inherit', 'pipe'],
      // Each file system waits for the kernel in a thread of this pool, and chunks are read in others; the default is four.
      env: { UV_THREADPOOL_SIZE: '16', ...env },
      cwd: '/',
    });
    const started = new MountProcess(child, clock);
    try {
      await started.ask({ type: 'start', bootId, folder, launcher, cacheBytes, stores }, startWithinMs);
    } catch (error) {
      started.kill();
      throw error;
    }
    child.unref();
    started.#socket.unref();
    void started.#watch();
    return started;
  }

  private constructor(child: ChildProcess, clock: Clock) {
    this.#child = child;
    this.#clock = clock;
    this.#socket = child.stdio[3] as Socket;
    this.died = new Promise((resolve) => {
      const onEnd = (): void => {
        this.#onEnd();
        resolve();
      };
      child.once('exit', onEnd);
      child.once('error', onEnd);
    });
    this.#socket.on('error', () => {
      // The end of the process follows, and is what counts.
    });
    onMessages<MountAnswer>(this.#socket, (answer) => this.#onAnswer(answer));
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  get isOver(): boolean {
    return this.#over.signal.aborted;
  }

  /** Called when it has ended, unless that is taken back before: who waits for `died` is kept for as long as it lives. */
  whenOver(watcher: () => void): () => void {
    if (this.isOver) watcher();
    else this.#watchers.add(watcher);
    return () => void this.#watchers.delete(watcher);
  }

  /** @throws Unavailable where it has ended or does not answer in time; what it answers */
  ask(request: MountRequest, withinMs: number): Promise<string> {
    if (this.isOver) return Promise.reject(ended());
    this.#last += 1;
    const id = this.#last;
    return new Promise((resolve, reject) => {
      const timer: Timer = this.#clock.after(withinMs, () => {
        this.#waiting.delete(id);
        reject(new HoldfastError('Unavailable', `the process of mounts did not ${request.type} within ${withinMs} ms`));
      });
      const settled = (settle: () => void): void => {
        timer.cancel();
        this.#waiting.delete(id);
        settle();
      };
      this.#waiting.set(id, {
        resolve: (value) => settled(() => resolve(value)),
        reject: (error) => settled(() => reject(error)),
      });
      sendMessage(this.#socket, { ...request, id });
    });
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  /** Lets it commit what is to be committed, for so long. */
  async stop(withinMs: number): Promise<void> {
    // Who waits for it does not end before, also where nothing else keeps him.
    this.#child.ref();
    this.#socket.ref();
    await this.ask({ type: 'stop' }, withinMs).catch(() => undefined); // it is killed then
    this.kill();
    await this.died;
  }

  async #watch(): Promise<void> {
    const { signal } = this.#over;
    while (!signal.aborted) {
      await this.#clock.sleep(pingEveryMs, signal).catch(() => undefined); // over: the condition sees it
      if (signal.aborted) return;
      await this.ask({ type: 'ping' }, silentMs).catch(() => this.kill());
    }
  }

  #onAnswer(answer: MountAnswer): void {
    const waiter = this.#waiting.get(answer.id);
    if (answer.ok) waiter?.resolve(answer.value);
    else waiter?.reject(errorOf(answer.error));
  }

  #onEnd(): void {
    this.#over.abort(ended());
    for (const waiter of [...this.#waiting.values()]) waiter.reject(ended());
    for (const watcher of this.#watchers) watcher();
    this.#watchers.clear();
  }
}

function ended(): HoldfastError {
  return new HoldfastError(
    'Unavailable',
    'the process of mounts has ended: files of its mounts give I/O errors, new mounts work',
  );
}
