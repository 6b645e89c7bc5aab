import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** What Node says when somebody looks into it, as the benchmark itself does. */
const ofInspector = /^(Debugger (listening|attached|ending)|For help, see: https:\/\/nodejs)/;

/** A process of the benchmark's own, which answers one message at a time. */
export class BenchProcess implements AsyncDisposable {
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #name: string;
  readonly #lost: Promise<never>;

  /** @param name a module of bench/ and arguments for it */
  constructor(name: string, args: readonly string[] = [], flags: readonly string[] = []) {
    const module = fileURLToPath(new URL(`../${name}.ts`, import.meta.url));
    this.#child = fork(module, args, {
      execArgv: ['--import', 'tsx', ...flags],
      serialization: 'advanced',
      stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
    });
    this.#child.stderr?.on('data', (text: Buffer) => {
      if (!ofInspector.test(String(text))) process.stderr.write(text);
    });
    this.#name = [name, ...args].join(' ');
    this.pid = this.#child.pid ?? 0;
    this.#lost = once(this.#child, 'exit').then(([code, signal]) => {
      throw new Error(`${this.#name} ended with ${code ?? signal}`);
    });
    this.#lost.catch(() => undefined); // at the end nobody waits for it
  }

  send(message: object): void {
    this.#child.send(message);
  }

  /** @throws when the process ends, the time is over, or the run is aborted */
  async receive<T>(options: { readonly withinMs: number; readonly signal: AbortSignal }): Promise<T> {
    const timeout = AbortSignal.timeout(options.withinMs);
    const patience = AbortSignal.any([timeout, options.signal]);
    try {
      const [message] = await Promise.race([once(this.#child, 'message', { signal: patience }), this.#lost]);
      return message as T;
    } catch (error) {
      if (timeout.aborted) throw new Error(`${this.#name} did not answer within ${options.withinMs} ms`);
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, 'exit');
    // Ends by itself at that (processes/parent); a busy one is not waited for.
    this.#child.disconnect();
    const force = setTimeout(() => this.#child.kill('SIGKILL'), 1_000);
    await exited;
    clearTimeout(force);
  }
}
