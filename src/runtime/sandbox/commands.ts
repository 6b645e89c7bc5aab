import { currentCallContext } from '../../common/context.js';
import { Detached } from '../../common/detached.js';
import { HoldfastError } from '../../common/errors.js';
import { OutputCollector } from '../../common/output-collector.js';
import {
  type CommandAnswer,
  type CommandEvent,
  type CommandSpec,
  defaultMaxOutputBytes,
} from '../../common/sandbox-methods.js';
import { checkedCommand, checkedPid } from './call-checks.js';
import { OutputQueue } from './guest/output-queue.js';
import { OutputRing } from './guest/output-ring.js';
import { type CommandEnd, type OutputSink, RunningCommand } from './running-command.js';
import type { SessionEnvironment } from './session-environment.js';
import type { SessionParts } from './session-parts.js';

/** A process that outlives its caller, and what it has printed. */
interface Spawned {
  readonly command: RunningCommand;
  readonly ring: OutputRing;
  isOver: boolean;
}

/** Spawned processes that have ended and can still be read. */
const keptEnded = 128;

/** The commands of one session. */
export class Commands {
  readonly #parts: SessionParts;
  readonly #environment: SessionEnvironment;
  /** All that run, by pid. */
  readonly #running = new Map<number, RunningCommand>();
  /** By pid, those that have ended oldest first. */
  readonly #spawned = new Map<number, Spawned>();

  constructor(parts: SessionParts, environment: SessionEnvironment) {
    this.#parts = parts;
    this.#environment = environment;
  }

  async exec(given: unknown): Promise<CommandAnswer> {
    const spec = checkedCommand(given);
    const { budget } = this.#parts;
    const maxBytes = spec.maxOutputBytes ?? defaultMaxOutputBytes;
    const output = { stdout: new OutputCollector(maxBytes), stderr: new OutputCollector(maxBytes) };
    const sink: OutputSink = {
      paces: false,
      isFull: (stream) => output[stream].isTruncated,
      add: (stream, bytes) => {
        const collector = output[stream];
        const wanted = Math.min(bytes.length, maxBytes - collector.keptBytes);
        if (wanted > 0 && !budget.take(wanted)) return collector.truncate();
        collector.add(bytes);
      },
    };
    const { stdout, stderr } = output;
    try {
      const { command, end } = await this.#runToEnd(spec, sink);
      const { exitCode, signal, timedOut, durationMs } = end;
      const truncated = stdout.isTruncated || stderr.isTruncated;
      return {
        pid: command.pid,
        exitCode,
        signal,
        stdout: stdout.text(),
        stderr: stderr.text(),
        timedOut,
        truncated,
        durationMs,
      };
    } finally {
      budget.give(stdout.keptBytes + stderr.keptBytes);
    }
  }

  /** Leaving it kills the command. */
  async *execStream(given: unknown): AsyncGenerator<CommandEvent, void, undefined> {
    const spec = checkedCommand(given);
    const { signal } = currentCallContext();
    const queue = new OutputQueue();
    let untaken = 0;
    const sink = {
      paces: true,
      add: (stream: 'stdout' | 'stderr', bytes: Uint8Array, offset: number) => {
        if (!sink.paces) return;
        untaken += bytes.length;
        queue.add(stream, bytes, offset);
      },
    };
    const command = await this.#start(spec, sink);
    const unwatch = command.killAt(signal);
    command.ended.then(
      () => queue.close(),
      () => queue.close(),
    );
    try {
      yield { type: 'start', pid: command.pid };
      for (let event = await queue.next(); event !== null; event = await queue.next()) {
        yield event;
        untaken -= event.bytes.length;
        command.process.acknowledge(event.bytes.length);
      }
      const end = await command.ended;
      signal.throwIfAborted();
      yield { type: 'exit', ...end };
    } finally {
      unwatch();
      // Its end comes after its output, which nobody takes any more.
      sink.paces = false;
      command.kill();
      command.process.acknowledge(untaken);
      await command.ended.catch(() => undefined); // what it ended with is told above, where anybody listens
    }
  }

  /** Its slot is taken until the process has ended. */
  async spawn(given: unknown): Promise<Detached> {
    const spec = checkedCommand(given);
    const { signal } = currentCallContext();
    const ring = new OutputRing(spec.maxOutputBytes ?? defaultMaxOutputBytes, this.#parts.budget);
    const sink: OutputSink = { paces: false, add: (stream, bytes) => ring.add(stream, bytes) };
    const command = await this.#start(spec, sink);
    const spawned: Spawned = { command, ring, isOver: false };
    this.#forget(command.pid);
    this.#spawned.set(command.pid, spawned);
    const unwatch = command.killAt(signal);
    const over = (): void => {
      unwatch();
      ring.close();
      spawned.isOver = true;
      this.#keepEnded(spawned);
    };
    return new Detached({ pid: command.pid }, command.ended.then(over, over));
  }

  findProcess(pid: unknown): { readonly argv: readonly string[] } {
    return { argv: this.#find(pid).command.argv };
  }

  async *output(pid: unknown, fromOffset: unknown): AsyncGenerator<CommandEvent, void, undefined> {
    const { command, ring } = this.#find(pid);
    const { signal } = currentCallContext();
    yield { type: 'start', pid: command.pid };
    yield* ring.read(Number.isSafeInteger(fromOffset) ? (fromOffset as number) : 0, signal);
    yield { type: 'exit', ...(await command.ended) };
  }

  async wait(pid: unknown): Promise<CommandAnswer> {
    const { command, ring } = this.#find(pid);
    const end = await orAborted(command.ended, currentCallContext().signal);
    const stdout = ring.text('stdout');
    return { pid: command.pid, ...end, stdout, stderr: ring.text('stderr'), truncated: ring.hasDropped };
  }

  async stdin(pid: unknown, bytes: unknown): Promise<void> {
    if (!(bytes instanceof Uint8Array)) throw new HoldfastError('InvalidArgument', 'stdin takes bytes');
    await this.#runningAt(pid).process.write(bytes);
  }

  closeStdin(pid: unknown): void {
    this.#running.get(checkedPid(pid))?.process.closeStdin();
  }

  resize(pid: unknown, cols: number, rows: number): void {
    this.#runningAt(pid).process.resize(cols, rows);
  }

  /** One that has ended already is as good as killed. */
  async kill(pid: unknown, signal: NodeJS.Signals): Promise<void> {
    const running = this.#running.get(checkedPid(pid));
    if (running === undefined) return void this.#find(pid);
    await running.process.kill(signal);
  }

  async #runToEnd(
    spec: CommandSpec,
    sink: OutputSink,
  ): Promise<{ readonly command: RunningCommand; readonly end: CommandEnd }> {
    const { signal } = currentCallContext();
    const command = await this.#start(spec, sink);
    const unwatch = command.killAt(signal);
    try {
      const end = await command.ended;
      signal.throwIfAborted();
      return { command, end };
    } finally {
      unwatch();
    }
  }

  async #start(spec: CommandSpec, sink: OutputSink): Promise<RunningCommand> {
    const { timeoutMs } = this.#parts;
    const command = await RunningCommand.start(
      this.#parts,
      {
        argv: spec.argv,
        cwd: spec.cwd === undefined ? this.#environment.cwd : this.#environment.absolute(spec.cwd),
        env: this.#environment.with(spec.env),
        timeoutMs: Math.min(spec.timeoutMs ?? timeoutMs, timeoutMs),
        ...(spec.stdin === undefined ? {} : { stdin: true }),
        ...(spec.pty === undefined ? {} : { pty: spec.pty }),
      },
      sink,
    );
    this.#running.set(command.pid, command);
    const over = (): void => {
      if (this.#running.get(command.pid) === command) this.#running.delete(command.pid);
    };
    command.ended.then(over, over);
    if (spec.stdin instanceof Uint8Array) feed(command, spec.stdin);
    return command;
  }

  #runningAt(pid: unknown): RunningCommand {
    const running = this.#running.get(checkedPid(pid));
    if (running !== undefined) return running;
    throw new HoldfastError('NotFound', `no process ${pid} that this session has started runs any more`, {
      details: { pid },
    });
  }

  #find(pid: unknown): Spawned {
    const spawned = this.#spawned.get(checkedPid(pid));
    if (spawned !== undefined) return spawned;
    throw new HoldfastError(
      'NotFound',
      `${this.#parts.label} has no process ${pid}: \`spawn\` starts one, and the last ${keptEnded} that ended are kept`,
      { details: { pid } },
    );
  }

  /** The newest of those that have ended; who reads an older one reads on. */
  #keepEnded(spawned: Spawned): void {
    const { pid } = spawned.command;
    if (this.#spawned.get(pid) !== spawned) return;
    this.#spawned.delete(pid);
    this.#spawned.set(pid, spawned);
    const ended = [...this.#spawned].filter(([, { isOver }]) => isOver);
    for (const [oldest] of ended.slice(0, Math.max(0, ended.length - keptEnded))) this.#forget(oldest);
  }

  #forget(pid: number): void {
    this.#spawned.get(pid)?.ring.drop();
    this.#spawned.delete(pid);
  }
}

/** All of it, then the end of the file. */
function feed({ process }: RunningCommand, bytes: Uint8Array): void {
  if (bytes.length > 0) process.write(bytes).catch(() => undefined); // it need not read its stdin
  process.closeStdin();
}

async function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let onAbort = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason as Error);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
