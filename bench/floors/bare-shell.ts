import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/**
 * Starts programs as cheaply as that goes: a small process forks faster than Node does, which takes as long for it as what is
 * started.
 */
export class BareShell {
  readonly #child = spawn('sh', [], { stdio: ['pipe', 'pipe', 'ignore'] });
  readonly #lines: AsyncIterator<string>;

  constructor() {
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  /** @param line of words without quotes. @throws where it ends with another code than 0 */
  async run(line: string): Promise<void> {
    this.#child.stdin.write(`${line} </dev/null >/dev/null; echo $?\n`);
    const { value: code } = await this.#lines.next();
    if (code !== '0') throw new Error(`'${line}' ended with ${code}`);
  }

  close(): void {
    this.#child.kill('SIGKILL');
  }
}
