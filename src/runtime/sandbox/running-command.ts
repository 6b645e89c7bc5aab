import type { Monotonic } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import type { GuestCommand, GuestExit, GuestProcess } from '../../common/ports/guest.js';
import type { CommandEvent } from '../../common/sandbox-methods.js';
import type { WheelEntry } from '../../common/timer-wheel.js';
import type { SessionParts } from './session-parts.js';

export type CommandEnd = Omit<Extract<CommandEvent, { type: 'exit' }>, 'type'>;

/** What a command's output goes to. */
export interface OutputSink {
  /** @param bytes a view: copied where they are kept */
  add(stream: 'stdout' | 'stderr', bytes: Uint8Array, offset: number): void;
  /** Nothing more is wanted of it. */
  isFull?(stream: 'stdout' | 'stderr'): boolean;
  /** True: its reader acknowledges what it has taken, until he leaves. */
  readonly paces: boolean;
}

/** A command that was killed is gone by then, with all that it started, or its sandbox is. */
const killWithinMs = 10_000;

/**
 * One command from its start to its end.
 *
 * I1. It ends at its limit, at the caller's abort, by itself, or with its sandbox; killed means its whole process group.
 * I2. Nothing of the command runs `killWithinMs` after a kill: a sandbox that does not kill is killed itself. `ended` settles
 *     then, and when its reader has taken what it had printed.
 */
export class RunningCommand {
  readonly argv: readonly string[];
  readonly startedAtMs: number;
  /** Rejects with `OutOfMemory` where the kernel killed it, and where the sandbox is gone. */
  readonly ended: Promise<CommandEnd>;
  readonly #parts: SessionParts;
  readonly #process: GuestProcess;
  readonly #sink: OutputSink;
  readonly #startedAt: Monotonic;
  #limit: WheelEntry | null;
  #timedOut = false;
  /** Settles when nothing of it runs any more; null: it was not killed. */
  #killing: Promise<void> | null = null;
  #isOver = false;

  /** @throws FileNotFound, PermissionDenied, InvalidArgument, PayloadTooLarge */
  static async start(
    parts: SessionParts,
    command: GuestCommand & { readonly timeoutMs: number },
    sink: OutputSink,
  ): Promise<RunningCommand> {
    const { guest, clock, pace } = parts;
    const startedAt = clock.monotonic();
    let process: GuestProcess | null = null;
    let early = 0;
    const { timeoutMs, ...what } = command;
    process = await guest.spawn(what, (stream, bytes, offset) => {
      sink.add(stream, bytes, offset);
      if (sink.isFull?.(stream)) process?.discard(stream);
      if (sink.paces) return;
      // It can print before we know its number.
      if (process === null) early += bytes.length;
      else pace.taken(process, bytes.length);
    });
    if (early > 0) pace.taken(process, early);
    return new RunningCommand(parts, { process, sink, argv: command.argv, timeoutMs, startedAt });
  }

  private constructor(
    parts: SessionParts,
    init: {
      readonly process: GuestProcess;
      readonly sink: OutputSink;
      readonly argv: readonly string[];
      readonly timeoutMs: number;
      readonly startedAt: Monotonic;
    },
  ) {
    const { clock, wheel } = parts;
    this.argv = init.argv;
    this.#parts = parts;
    this.#process = init.process;
    this.#sink = init.sink;
    this.#startedAt = init.startedAt;
    this.startedAtMs = Math.round(clock.now() - (clock.monotonic() - init.startedAt));
    this.#limit = wheel.add(init.timeoutMs, () => {
      this.#timedOut = true;
      this.kill();
    });
    this.ended = init.process.exited.then(
      (exit) => this.#onExit(exit),
      (error: unknown) => {
        this.#disarm();
        throw error;
      },
    );
    this.ended.catch(() => undefined); // those who wait are told; a command need not have anybody
  }

  get pid(): number {
    return this.#process.pid;
  }

  get process(): GuestProcess {
    return this.#process;
  }

  /** The whole group, now; what it left behind at an end of its own goes on. */
  kill(): void {
    if (this.#killing !== null || this.#isOver) return;
    this.#killing = this.#process.kill('SIGKILL').catch(() => undefined); // the sandbox is gone, and so is the command
    const backstop = this.#parts.wheel.add(killWithinMs, () => this.#parts.box.kill());
    const disarm = (): void => this.#parts.wheel.remove(backstop);
    // Its end is told after its output: where a reader paces that, he may take his time once nothing of it runs.
    const over: Promise<unknown> = this.#sink.paces ? this.#killing : this.ended;
    over.then(disarm, disarm);
  }

  /** Killed when the signal aborts. Gives back how to stop that. */
  killAt(signal: AbortSignal): () => void {
    const onAbort = (): void => this.kill();
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
    return () => signal.removeEventListener('abort', onAbort);
  }

  async #onExit({ exitCode, signal }: GuestExit): Promise<CommandEnd> {
    this.#disarm();
    const { box, clock } = this.#parts;
    const durationMs = clock.monotonic() - this.#startedAt;
    await this.#killing;
    if (box.outOfMemoryKills() > 0) return await this.#outOfMemory();
    return { exitCode, signal, timedOut: this.#timedOut, durationMs };
  }

  /** The kernel has taken one process of many; half a session is none. Told when nothing of it can answer any more. */
  async #outOfMemory(): Promise<never> {
    const { box, label, memoryMb } = this.#parts;
    box.kill();
    await box.exited;
    throw new HoldfastError('OutOfMemory', `${label} used more than its memoryMb of ${memoryMb}`, {
      outcome: 'unknown',
      details: { memoryMb },
    });
  }

  #disarm(): void {
    this.#isOver = true;
    if (this.#limit !== null) this.#parts.wheel.remove(this.#limit);
    this.#limit = null;
  }
}
