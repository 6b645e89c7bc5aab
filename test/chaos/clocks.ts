import { execFileSync, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const source = fileURLToPath(new URL('./fixtures/clock-shim.c', import.meta.url));

/** Wall clocks of processes, which can be set. Needs a C compiler. */
export class Clocks {
  readonly #folder: string;
  readonly #library: string;

  /** Whether there is a compiler. */
  static canBeMade(): boolean {
    return spawnSync('cc', ['--version']).status === 0;
  }

  constructor(folder: string) {
    this.#folder = folder;
    this.#library = join(folder, 'clock-shim.so');
    execFileSync('cc', ['-shared', '-fPIC', '-O2', '-o', this.#library, source, '-ldl']);
  }

  /** What gives a process that clock; its first call makes it, and it is right. */
  envOf(name: string): Record<string, string> {
    this.set(name, 0);
    return { LD_PRELOAD: this.#library, HOLDFAST_TEST_CLOCK: this.#fileOf(name) };
  }

  /** Lets it go wrong by that much, at once. */
  set(name: string, offsetMs: number): void {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(offsetMs) * 1_000_000n);
    // In place: the processes have it mapped.
    writeFileSync(this.#fileOf(name), bytes, { flag: 'a' });
    writeFileSync(this.#fileOf(name), bytes, { flag: 'r+' });
  }

  #fileOf(name: string): string {
    return join(this.#folder, `clock-${name}`);
  }
}
