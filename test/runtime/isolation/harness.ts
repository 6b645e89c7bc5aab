import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll } from 'vitest';
import { systemClock, systemRandom } from '../../../src/adapters/system/clock.js';
import type {
  IsolatedProcess,
  IsolatedSpec,
  IsolationLimits,
  Scratch,
  ScratchOptions,
} from '../../../src/common/ports/sandbox.js';
import { Bubblewrap } from '../../../src/runtime/isolation/bubblewrap.js';
import { bubblewrapWalls } from '../../../src/runtime/isolation/bubblewrap-start.js';
import type { Walls } from '../../../src/runtime/isolation/walls.js';
import { removeCgroups } from '../../../src/runtime/process/cgroup-tree.js';
import { type Cgroups, openCgroups } from '../../../src/runtime/process/cgroups.js';

export const launcher = fileURLToPath(
  new URL(`../../../dist/launcher/holdfast-launcher-${process.arch}`, import.meta.url),
);
export const environment = { PATH: '/usr/local/bin:/usr/bin:/bin', HOME: '/home/user' };
export const usualLimits: IsolationLimits = { memoryMb: 256, cpu: 2, pids: 128 };
const usualGb = 1;

/** What a program inside printed and how it ended. */
export interface Ran {
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly outOfMemory: boolean;
  /** Lines. */
  readonly out: readonly string[];
  readonly err: readonly string[];
}

/** A backend on this host, in a folder of its own; what it started ends with the test file. */
export class IsolationBench {
  readonly cgroups: Cgroups;
  readonly backend: Bubblewrap;
  readonly folder: string;
  /** By id of the process that was started with it. */
  readonly scratches = new Map<string, Scratch>();
  readonly #processes: IsolatedProcess[] = [];
  #ids = 0;

  constructor(folder: string, bootId: string, walls: Walls) {
    this.folder = folder;
    this.cgroups = openCgroups({ bootId });
    this.backend = new Bubblewrap({
      bootId,
      folder,
      launcher,
      cgroups: this.cgroups,
      watchdog: { guard: () => Promise.resolve(), release: () => undefined },
      clock: systemClock,
      random: systemRandom,
      walls,
    });
  }

  scratch(options: Partial<ScratchOptions> = {}): Promise<Scratch> {
    this.#ids += 1;
    return this.backend.createScratch({ id: `s${this.#ids}`, root: { kind: 'host' }, diskGb: usualGb, ...options });
  }

  async start(
    argv: readonly [string, ...string[]],
    options: Partial<IsolatedSpec> & Partial<ScratchOptions> = {},
  ): Promise<IsolatedProcess> {
    this.#ids += 1;
    const scratch = options.scratch ?? (await this.scratch(options));
    const id = `p${this.#ids}`;
    const started = await this.backend.start({ argv, env: environment, limits: usualLimits, ...options, id, scratch });
    this.#processes.push(started);
    this.scratches.set(id, scratch);
    return started;
  }

  /** Folders that are there now. */
  cgroupsOf(id: string): string[] {
    return this.cgroups.parents.map((parent) => join(parent, id)).filter(existsSync);
  }

  /** Runs a program to its end. */
  async run(
    argv: readonly [string, ...string[]],
    options: Partial<IsolatedSpec> & Partial<ScratchOptions> = {},
  ): Promise<Ran> {
    const lines = { stdout: [] as string[], stderr: [] as string[] };
    const started = await this.start(argv, options);
    started.onOutput(({ stream, text }) => lines[stream].push(text));
    const exit = await started.exited;
    await started.remove();
    return { ...exit, out: lines.stdout, err: lines.stderr };
  }

  shell(script: string, options: Partial<IsolatedSpec> & Partial<ScratchOptions> = {}): Promise<Ran> {
    return this.run(['/bin/sh', '-c', script], options);
  }

  /** Perl is in every Debian, and calls the kernel by number. */
  perl(script: string, options: Partial<IsolatedSpec> & Partial<ScratchOptions> = {}): Promise<Ran> {
    return this.run(['/usr/bin/perl', '-e', script], options);
  }

  async close(): Promise<void> {
    await Promise.all(this.#processes.map((process) => process.remove()));
    await this.backend.close();
    removeCgroups(this.cgroups.parents);
    await rm(this.folder, { recursive: true, force: true });
  }
}

let benches = 0;

/** One for a test file. */
export async function openBench(walls: Walls = bubblewrapWalls): Promise<IsolationBench> {
  benches += 1;
  const bench = new IsolationBench(
    await mkdtemp(join(tmpdir(), 'holdfast-isolation-')),
    `isolation-${process.pid}-${benches}`,
    walls,
  );
  afterAll(() => bench.close());
  return bench;
}
