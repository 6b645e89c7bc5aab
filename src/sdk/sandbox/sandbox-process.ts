import { constants } from 'node:os';
import { HoldfastError } from '../../common/errors.js';
import type { CommandAnswer, CommandEvent } from '../../common/sandbox-methods.js';
import { bytesOf } from './bytes.js';
import { resultOf } from './commands.js';
import { pieceBytes } from './piece-window.js';
import type { SessionCalls } from './session-calls.js';
import { textEvents } from './text-events.js';
import type { Bytes, SandboxExecResult, SandboxStreamEvent } from './types.js';

/** What a process object is made of. */
export interface ProcessInit {
  readonly calls: SessionCalls;
  readonly pid: number;
  readonly argv: readonly string[];
}

/** A process in a session; it goes on when its client is gone, and another one finds it by its pid. */
export class SandboxProcess {
  readonly pid: number;
  readonly #init: ProcessInit;

  /** Use `session.spawn` or `session.process`. */
  constructor(init: ProcessInit) {
    this.pid = init.pid;
    this.#init = init;
  }

  /**
   * What it has printed, from an offset on, and what it prints, until it ends. The session keeps the last 16 MiB (or
   * `maxOutputBytes`): output that is gone from there is left out, the offsets tell.
   */
  output(options: { readonly fromOffset?: number } = {}): AsyncIterable<SandboxStreamEvent> {
    const { fromOffset = 0 } = options;
    if (!Number.isSafeInteger(fromOffset) || fromOffset < 0) {
      throw new HoldfastError('InvalidArgument', `fromOffset must be a whole number of at least 0, got ${fromOffset}`);
    }
    return textEvents(this.#init.calls.stream<CommandEvent>('output', [this.pid, fromOffset]));
  }

  /** Resolves when its stdin takes more. */
  async write(data: string | Bytes): Promise<void> {
    const bytes = bytesOf(data);
    for (let at = 0; at < bytes.length; at += pieceBytes) {
      await this.#init.calls.call('stdin', [this.pid, bytes.subarray(at, at + pieceBytes)]);
    }
  }

  async closeStdin(): Promise<void> {
    await this.#init.calls.call('closeStdin', [this.pid]);
  }

  /** Of its terminal. */
  async resize(cols: number, rows: number): Promise<void> {
    await this.#init.calls.call('resize', [this.pid, cols, rows]);
  }

  /** To its whole process group; default SIGTERM. */
  async kill(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (!Object.hasOwn(constants.signals, signal)) {
      throw new HoldfastError('InvalidArgument', `${JSON.stringify(signal)} is no signal; SIGTERM and SIGKILL are`);
    }
    await this.#init.calls.call('kill', [this.pid, signal]);
  }

  /** Resolves when it has ended, with what the session keeps of its output. */
  async wait(): Promise<SandboxExecResult> {
    const { calls, argv } = this.#init;
    return resultOf(argv, await calls.call<CommandAnswer>('wait', [this.pid]));
  }
}
