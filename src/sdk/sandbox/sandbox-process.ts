import { constants } from 'node:os';
import { checkOptions } from '../../common/check-options.js';
import { HoldfastError } from '../../common/errors.js';
import { expected } from '../../common/option-checks.js';
import type { CommandAnswer, CommandEvent } from '../../common/sandbox-methods.js';
import { type CallLimits, Limits, limitChecks } from '../calls/call-limits.js';
import { bytesOf } from './bytes.js';
import { resultOf, terminalSize } from './commands.js';
import { pieceBytes } from './piece-window.js';
import { type SessionCalls, within } from './session-calls.js';
import { textEvents } from './text-events.js';
import type { Bytes, SandboxExecResult, SandboxStreamEvent } from './types.js';

/** What a process object is made of. */
export interface ProcessInit {
  readonly calls: SessionCalls;
  readonly pid: number;
  readonly argv: readonly string[];
}

/** @throws InvalidArgument */
export function checkedPid(pid: unknown): number {
  if (Number.isSafeInteger(pid) && (pid as number) > 0) return pid as number;
  throw new HoldfastError('InvalidArgument', `a pid must be a whole number above 0, got ${String(pid)}`);
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
  output(options: { readonly fromOffset?: number } & CallLimits = {}): AsyncIterable<SandboxStreamEvent> {
    checkOptions('output', options, { ...limitChecks, fromOffset: expected.integer(0, Number.MAX_SAFE_INTEGER) });
    const { fromOffset = 0, signal, timeoutMs } = options;
    const { calls } = this.#init;
    return textEvents(calls.stream<CommandEvent>('output', [this.pid, fromOffset], { signal, timeoutMs }));
  }

  /** Resolves when its stdin takes more. */
  async write(data: string | Bytes, options: CallLimits = {}): Promise<void> {
    const calls = this.#in('write', options);
    const bytes = bytesOf(data);
    for (let at = 0; at < bytes.length; at += pieceBytes) {
      await calls.call('stdin', [this.pid, bytes.subarray(at, at + pieceBytes)]);
    }
  }

  async closeStdin(options: CallLimits = {}): Promise<void> {
    await this.#in('closeStdin', options).call('closeStdin', [this.pid]);
  }

  /** Of its terminal. */
  async resize(cols: number, rows: number, options: CallLimits = {}): Promise<void> {
    const wanted = terminalSize({ cols, rows });
    if (wanted !== null) throw new HoldfastError('InvalidArgument', `a terminal must have ${wanted}`);
    await this.#in('resize', options).call('resize', [this.pid, cols, rows]);
  }

  /** To its whole process group; default SIGTERM. */
  async kill(signal: NodeJS.Signals = 'SIGTERM', options: CallLimits = {}): Promise<void> {
    if (!Object.hasOwn(constants.signals, signal)) {
      throw new HoldfastError('InvalidArgument', `${JSON.stringify(signal)} is no signal; SIGTERM and SIGKILL are`);
    }
    await this.#in('kill', options).call('kill', [this.pid, signal]);
  }

  /** Resolves when it has ended, with what the session keeps of its output. */
  async wait(options: CallLimits = {}): Promise<SandboxExecResult> {
    return resultOf(this.#init.argv, await this.#in('wait', options).call<CommandAnswer>('wait', [this.pid]));
  }

  /** The way to it for one call. @throws InvalidArgument, Cancelled */
  #in(method: string, options: CallLimits): SessionCalls {
    checkOptions(method, options, limitChecks);
    const { calls } = this.#init;
    return within(Limits.of(calls.clock, `${method} of process ${this.pid} in ${calls.label}`, options), calls);
  }
}
