import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

const program = join(import.meta.dirname, '../../dist/cli/main.js');

/** What a finished command left. */
export interface Finished {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command that runs on. */
export interface Running extends AsyncDisposable {
  readonly pid: number;
  /** The first line of its output, from the beginning, that fits. Rejects with all output where it ends before. */
  line(fits: RegExp): Promise<string>;
  readonly output: string;
  /** Resolves when all its output so far fits, over several lines. Rejects as `line`. */
  says(fits: RegExp): Promise<void>;
  signal(signal: NodeJS.Signals): void;
  /** Its exit code; null where a signal ended it. */
  readonly ended: Promise<number | null>;
}

/** A user's home of this test: a private state folder, and the built `holdfast`. */
export class Home implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'holdfast-cli-'));
  readonly #running = new Set<ChildProcess>();

  /** Runs a command to its end. */
  async run(args: readonly string[], options: { env?: NodeJS.ProcessEnv; stdin?: string } = {}): Promise<Finished> {
    const child = this.#spawn(args, options.env);
    child.stdin?.end(options.stdin ?? '');
    const exitCode = new Promise<number | null>((resolve) => child.once('close', resolve));
    if (!child.stdout || !child.stderr) throw new Error('the command has no output');
    const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
    return { exitCode: await exitCode, stdout, stderr };
  }

  /** Runs a command that must succeed, for its output without the last newline. */
  async out(...args: string[]): Promise<string> {
    const { exitCode, stdout, stderr } = await this.run(args);
    if (exitCode !== 0) throw new Error(`holdfast ${args.join(' ')} ended with ${exitCode}: ${stderr}`);
    return stdout.trimEnd();
  }

  /** The same, for its one JSON document. */
  async json(...args: string[]): Promise<unknown> {
    return JSON.parse(await this.out(...args, '--json'));
  }

  start(args: readonly string[], env?: NodeJS.ProcessEnv): Running {
    const child = this.#spawn(args, env);
    let output = '';
    const waiting = new Set<() => void>();
    const hear = (chunk: string): void => {
      output += chunk;
      for (const check of waiting) check();
    };
    child.stdout?.setEncoding('utf8').on('data', hear);
    child.stderr?.setEncoding('utf8').on('data', hear);
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
    const heard = (what: RegExp, find: () => string | undefined): Promise<string> =>
      new Promise((resolve, reject) => {
        const check = (): void => {
          const found = find();
          if (found === undefined) return;
          waiting.delete(check);
          resolve(found);
        };
        waiting.add(check);
        void ended.then((code) => reject(new Error(`ended with ${code} before ${what}:\n${output}`)));
        check();
      });
    return {
      pid: child.pid ?? -1,
      get output() {
        return output;
      },
      line: (fits) => heard(fits, () => output.split('\n').find((line) => fits.test(line))),
      says: async (fits) => void (await heard(fits, () => fits.exec(output)?.[0])),
      signal: (signal) => void child.kill(signal),
      ended,
      [Symbol.asyncDispose]: async () => {
        child.kill('SIGTERM');
        await ended;
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ends = [...this.#running].map((child) => {
      const end = new Promise((resolve) => child.once('close', resolve));
      child.kill('SIGKILL');
      return end;
    });
    await Promise.all(ends);
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }

  #spawn(args: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
    const inherited = Object.entries(process.env).filter(([name]) => !/^(HOLDFAST_|OTEL_|FORCE_COLOR|npm_)/.test(name));
    const child = spawn(process.execPath, [program, ...args], {
      env: { ...Object.fromEntries(inherited), XDG_STATE_HOME: this.folder, ...env },
      stdio: 'pipe',
    });
    this.#running.add(child);
    child.once('close', () => this.#running.delete(child));
    return child;
  }
}
