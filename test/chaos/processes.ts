import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

/** On a machine that is busy with other things. */
const readyWithinMs = 120_000;

/** A process of the world, which can be signalled, killed, and started again with what it was started with. */
export class Proc {
  readonly name: string;
  /** All that it ever had. */
  readonly pids = new Set<number>();
  readonly #start: () => ChildProcess;
  readonly #ready: RegExp;
  #child: ChildProcess | null = null;
  /** What `ready` has matched. */
  #match: readonly string[] = [];

  private constructor(name: string, how: { readonly start: () => ChildProcess; readonly ready: RegExp }) {
    this.name = name;
    this.#start = how.start;
    this.#ready = how.ready;
  }

  static async start(
    name: string,
    what: {
      readonly command: readonly string[];
      readonly env?: NodeJS.ProcessEnv;
      /** What it prints when it is ready. */
      readonly ready: RegExp;
    },
  ): Promise<Proc> {
    const [program = '', ...args] = what.command;
    const start = () => spawn(program, args, { env: what.env ?? process.env, stdio: ['ignore', 'pipe', 'pipe'] });
    const proc = new Proc(name, { start, ready: what.ready });
    await proc.restart();
    return proc;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  get match(): readonly string[] {
    return this.#match;
  }

  get isAlive(): boolean {
    return this.#child !== null && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  /** Resolves when it has ended. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.#child;
    if (child === null || !this.isAlive) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    // One that is stopped takes no other signal.
    child.kill('SIGCONT');
    await ended;
  }

  /** Where it does not run; resolves when it is ready. @throws where it ends before that */
  async restart(): Promise<void> {
    if (this.isAlive) return;
    const child = this.#start();
    this.#child = child;
    if (child.pid !== undefined) this.pids.add(child.pid);
    let said = '';
    await new Promise<void>((resolve, reject) => {
      const read = (bytes: Buffer): void => {
        if (this.#isReady(said)) return;
        said += bytes.toString('utf8');
        if (!this.#isReady(said)) return;
        clearTimeout(late);
        resolve();
      };
      child.stdout?.on('data', read);
      child.stderr?.on('data', read);
      const late = setTimeout(() => {
        child.kill('SIGKILL');
        reject(new Error(`${this.name} is not ready after ${readyWithinMs} ms: ${said.slice(-2_000)}`));
      }, readyWithinMs);
      late.unref();
      child.once('error', reject);
      child.once('exit', (code) => reject(new Error(`${this.name} ended with ${code}: ${said.slice(-2_000)}`)));
    });
  }

  #isReady(said: string): boolean {
    const match = this.#ready.exec(said);
    if (match !== null) this.#match = [...match];
    return match !== null;
  }
}
