import { type ChildProcess, spawn } from 'node:child_process';
import { systemClock } from '../../adapters/system/clock.js';
import { HoldfastError } from '../../common/errors.js';
import type { ReapedKind, Reaper } from './reaper.js';

/** A process that this program started, of which nothing is left after `stop`. */
export interface Child {
  readonly pid: number;
  /** Resolves when the process is gone. */
  readonly ended: Promise<void>;
  /** Does nothing when it is gone. */
  kill(signal: NodeJS.Signals): void;
  /** SIGTERM, and SIGKILL where it still runs after `withinMs`; at once with 0. */
  stop(withinMs: number): Promise<void>;
}

export interface ChildCommand<Ready> {
  /** For messages: `worker 'worker-1'`. */
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly kind: ReapedKind;
  /** What a line of its output says about being ready; null while it is not. */
  readonly readyFrom: (line: string) => Ready | null;
  readonly reaper: Reaper;
  readonly signal: AbortSignal;
}

const readyWithinMs = 30_000;
const lastWordsMs = 200;
/** Of what a process printed, for the message that says why it did not start. */
const keptOutput = 4_096;
const longestLine = 65_536;

/** Resolves when the process has said that it is ready. @throws Unavailable with the end of its output, Cancelled */
export async function startChild<Ready>(command: ChildCommand<Ready>): Promise<{ child: Child; ready: Ready }> {
  const { name, program, args, env, reaper, signal } = command;
  if (signal.aborted) throw aborted(name, signal);
  // In a session of its own: Ctrl-C ends the program that started the cluster, and its end is what ends the cluster.
  const process = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  const output = new Output(command.readyFrom);
  const child = await watch(process, name, (pid) => reaper.add(command.kind, pid));
  process.stdout?.setEncoding('utf8').on('data', output.reader());
  process.stderr?.setEncoding('utf8').on('data', output.reader());
  const drained = new Promise<void>((resolve) => process.once('close', () => resolve()));
  const over = new AbortController();
  const patience = AbortSignal.any([over.signal, signal]);
  try {
    const outcome = await Promise.race([
      output.ready.then((ready) => ({ ready })),
      child.ended.then(() => 'ended before it was ready'),
      systemClock.sleep(readyWithinMs, patience).then(
        () => `was not ready within ${readyWithinMs} ms`,
        () => null,
      ),
    ]);
    if (outcome === null) throw aborted(name, signal);
    if (typeof outcome === 'object') return { child, ready: outcome.ready };
    // What it printed last may arrive after its end; what it started may hold its output open.
    await Promise.race([drained, systemClock.sleep(lastWordsMs)]);
    throw new HoldfastError('Unavailable', `${name} ${outcome}; it printed:\n${output.tail || '(nothing)'}`);
  } catch (e) {
    await child.stop(0);
    throw e;
  } finally {
    over.abort();
  }
}

function watch(process: ChildProcess, name: string, onStarted: (pid: number) => () => void): Promise<Child> {
  const { pid } = process;
  return new Promise((resolve, reject) => {
    if (pid === undefined) {
      process.once('error', (e) => reject(new HoldfastError('Unavailable', `${name}: ${e.message}`, { cause: e })));
      return;
    }
    const onEnd = onStarted(pid);
    process.on('error', () => undefined); // a signal that could not be sent: `ended` says the rest
    const ended = new Promise<void>((isOver) => {
      process.once('exit', () => {
        onEnd();
        isOver();
      });
    });
    const kill = (signal: NodeJS.Signals): void => void process.kill(signal);
    const stop = async (withinMs: number): Promise<void> => {
      kill(withinMs === 0 ? 'SIGKILL' : 'SIGTERM');
      const force = systemClock.after(withinMs, () => kill('SIGKILL'));
      await ended;
      force.cancel();
    };
    resolve({ pid, ended, kill, stop });
  });
}

/** What a process prints: the line that says that it is ready, and the end of it all. */
class Output<Ready> {
  readonly ready: Promise<Ready>;
  #onReady: ((ready: Ready) => void) | null = null;
  #tail = '';

  constructor(private readonly readyFrom: (line: string) => Ready | null) {
    this.ready = new Promise((resolve) => {
      this.#onReady = resolve;
    });
  }

  /** One for each stream, since lines of two streams would mix. */
  reader(): (text: string) => void {
    let line = '';
    return (text) => {
      this.#tail = (this.#tail + text).slice(-keptOutput);
      if (this.#onReady === null) return;
      const lines = (line + text).slice(-longestLine).split('\n');
      line = lines.pop() ?? '';
      for (const each of lines) this.#look(each);
    };
  }

  get tail(): string {
    return this.#tail.trim();
  }

  #look(line: string): void {
    const ready = this.readyFrom(line);
    if (ready === null) return;
    this.#onReady?.(ready);
    this.#onReady = null;
  }
}

function aborted(name: string, signal: AbortSignal): HoldfastError {
  return new HoldfastError('Cancelled', `the start of ${name} was aborted`, { cause: signal.reason });
}
