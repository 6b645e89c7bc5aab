import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { type ErrorCode, HoldfastError } from '../../../src/common/errors.js';
import type { MountAsk } from '../../../src/runtime/mounts/mount-messages.js';
import type { CommitAsk } from '../../../src/runtime/mounts/volume-mount.js';

const program = fileURLToPath(new URL('../../fixtures/mount-worker.mjs', import.meta.url));

type Order =
  | { readonly type: 'attach'; readonly mount: MountAsk }
  | { readonly type: 'commit'; readonly name: string; readonly ask: CommitAsk }
  | { readonly type: 'detach'; readonly name: string }
  | { readonly type: 'close' };

interface Answer {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: { readonly code: ErrorCode; readonly message: string; readonly retryable: boolean };
}

/** A mount of a worker that may be killed. */
export interface WorkerMount {
  readonly folder: string;
  /** Of the process that serves it. */
  readonly pid: number;
  commit(ask: CommitAsk): Promise<string>;
  detach(): Promise<void>;
}

/** A worker, as far as its mounts go, in a process of its own: below it is the process of mounts. */
export class MountWorker {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  #last = 0;

  /** @param options of `MountHost`, without the clock */
  constructor(options: object) {
    this.#child = fork(program, [JSON.stringify(options)], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    this.#child.on('message', (answer: Answer) => this.#waiting.get(answer.id)?.(answer));
    this.#child.once('exit', () => {
      const error = { code: 'Unavailable', message: 'the worker has ended', retryable: true } as const;
      for (const [id, settle] of this.#waiting) settle({ id, error });
    });
  }

  async mount(mount: MountAsk): Promise<WorkerMount> {
    const { folder, pid } = (await this.#ask({ type: 'attach', mount })) as { folder: string; pid: number };
    const { name } = mount;
    return {
      folder,
      pid,
      commit: async (ask) => (await this.#ask({ type: 'commit', name, ask })) as string,
      detach: async () => void (await this.#ask({ type: 'detach', name })),
    };
  }

  /** Closes its mounts and ends; how it ended. */
  async close(): Promise<number | null> {
    const ended = once(this.#child, 'exit');
    this.#ask({ type: 'close' }).catch(() => undefined); // it ends instead of an answer
    const [code] = (await ended) as [number | null];
    return code;
  }

  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
  }

  async #ask(order: Order): Promise<unknown> {
    this.#last += 1;
    const id = this.#last;
    const answer = await new Promise<Answer>((resolve) => {
      this.#waiting.set(id, resolve);
      this.#child.send({ id, ...order }, (error) => {
        if (error !== null)
          resolve({ id, error: { code: 'Unavailable', message: 'the worker has ended', retryable: true } });
      });
    });
    this.#waiting.delete(id);
    const { error, value } = answer;
    if (error !== undefined) throw new HoldfastError(error.code, error.message, { retryable: error.retryable });
    return value;
  }
}
