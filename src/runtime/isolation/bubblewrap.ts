import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import type { Clock, Random } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import type {
  IsolatedProcess,
  IsolatedSpec,
  IsolationBackend,
  Scratch,
  ScratchOptions,
} from '../../common/ports/sandbox.js';
import type { Watchdog } from '../../common/ports/watchdog.js';
import { bootFolderName } from '../process/boot-folder.js';
import type { Cgroups } from '../process/cgroups.js';
import { ConfinedProcess } from '../process/confined-process.js';
import { checkId, checkSpec, descriptors, stage, startWords } from './bubblewrap-start.js';
import { type HostView, readHostView } from './host-view.js';
import { BubblewrapProcess } from './isolated-process.js';
import { checkRequirements, findProgram, unavailable } from './requirements.js';
import { DiskScratch } from './scratch.js';
import { ScratchTemplates } from './scratch-template.js';
import { filterArch, seccompFilter } from './seccomp-filter.js';

export interface BubblewrapOptions {
  readonly bootId: string;
  /** Holds a folder for each boot, with the disks of its sandboxes. */
  readonly folder: string;
  /** Path of the built launcher.c. */
  readonly launcher: string;
  readonly cgroups: Cgroups;
  readonly watchdog: Pick<Watchdog, 'guard' | 'release'>;
  readonly clock: Clock;
  readonly random: Random;
}

/** Ids that no distribution hands out and systemd leaves alone (systemd's UIDS-GIDS, "unused"). */
const firstUser = 0x70_00_00_00;
const users = 0x0f_fe_00_00;
const trialLimits = { memoryMb: 64, cpu: 1, pids: 32 };
const trialGb = 1 / 64;

/**
 * Isolation by bubblewrap: namespaces of every kind, no capabilities, no new privileges, a seccomp filter, a user of its own on
 * the host, cgroups, and a root on a file system of its own.
 *
 * I1. Each process joins its cgroups before it does anything else, and the watchdog guards it before it is handed over.
 * I2. What a sandbox has mounted is in its mount namespace only: the host has nothing to unmount when it dies, however it does.
 * I3. Root never looks into a file system that a sandbox wrote, but for giving it to its user.
 */
export class Bubblewrap implements IsolationBackend {
  readonly kind = 'bubblewrap';
  readonly #options: BubblewrapOptions;
  readonly #folder: string;
  #host: HostView | null = null;
  #templates: ScratchTemplates | null = null;
  #isReady: Promise<void> | null = null;

  constructor(options: BubblewrapOptions) {
    this.#options = options;
    this.#folder = join(options.folder, bootFolderName(options.bootId));
  }

  async check(): Promise<void> {
    checkRequirements(this.#options);
    const id = `trial-${this.#randomNumber()}`;
    const scratch = await this.createScratch({ id, root: { kind: 'host' }, diskGb: trialGb }).catch(
      (error: unknown) => {
        throw unavailable(`no file system for a sandbox could be made: ${messageOf(error)}`, error);
      },
    );
    try {
      const trial = await this.start({ id, argv: ['/bin/true'], env: {}, scratch, limits: trialLimits });
      const { exitCode, signal } = await trial.exited;
      await trial.remove();
      if (exitCode !== 0) throw unavailable(`a trial ended with ${signal ?? exitCode}: ${trial.lastWords}`);
    } finally {
      await scratch.remove();
    }
  }

  async createScratch(options: ScratchOptions): Promise<Scratch> {
    const { id, root, diskGb } = options;
    checkId(id);
    if (!(diskGb > 0)) throw new HoldfastError('InvalidArgument', `diskGb must be above 0, got ${diskGb}`);
    await this.#ready();
    const file = join(this.#folder, 'scratch', `${id}.img`);
    const source = await this.#sourceOf(options, file);
    const uid = firstUser + (this.#randomNumber() % users);
    return new DiskScratch({ id, root, file, source, uid, launcher: this.#options.launcher });
  }

  /** What the first start copies to `file`, unless that is there by then. */
  async #sourceOf({ root, diskGb, from }: ScratchOptions, file: string): Promise<string> {
    if (typeof from === 'string') return from;
    if (from === undefined) return (await this.#templates?.find(root.kind, diskGb, file)) ?? file;
    await from.save(file);
    return file;
  }

  async start(spec: IsolatedSpec): Promise<IsolatedProcess> {
    checkSpec(spec);
    const { scratch } = spec;
    if (!(scratch instanceof DiskScratch) || scratch.isUsed)
      throw new HoldfastError(
        'InvalidArgument',
        `isolated process ${spec.id}: its scratch is in use or of another backend`,
      );
    await this.#ready();
    const process = await this.#spawn(spec, scratch);
    try {
      const { id, pid } = process;
      await this.#options.watchdog.guard({ containerId: id, pid, cgroups: process.cgroups });
      return process;
    } catch (error) {
      await process.remove();
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#isReady = Promise.reject(
      new HoldfastError('Unavailable', 'the worker is ending and isolates nothing any more'),
    );
    this.#isReady.catch(() => undefined); // told to those who start something
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #spawn(spec: IsolatedSpec, scratch: DiskScratch): Promise<BubblewrapProcess> {
    const { cgroups, launcher, clock, watchdog } = this.#options;
    const cgroup = cgroups.create(spec.id);
    try {
      cgroup.limit(spec.limits);
      const child = this.#launch(spec, scratch, cgroup.folders);
      if (!hasStarted(child))
        throw unavailable(`the launcher does not run: ${String((await once(child, 'error'))[0])}`);
      const confined = new ConfinedProcess({ id: spec.id, child, cgroup, clock, limitsMemory: true, isWrapped: true });
      const socket = child.stdio[descriptors.socket] as Socket;
      const onGone = (): void => watchdog.release(spec.id);
      return new BubblewrapProcess({ confined, socket, cgroup, scratch, launcher, clock, onGone });
    } catch (error) {
      cgroup.remove();
      throw error;
    }
  }

  #launch(spec: IsolatedSpec, scratch: DiskScratch, cgroupFolders: readonly string[]): ChildProcess {
    const bwrap = findProgram('bwrap');
    if (bwrap === null || this.#host === null) throw unavailable('bubblewrap is not installed any more');
    const { words, args } = startWords({ spec, host: this.#host, bwrap, cgroupFolders, scratch });
    // Opened for each one: it is read from where the descriptor stands.
    const filter = openSync(this.#filterFile, 'r');
    try {
      const child = spawn(this.#options.launcher, words, {
        // A process group of its own, against Ctrl-C and for the watchdog.
        detached: true,
        stdio: ['ignore', 'pipe', 'pipe', 'pipe', filter, 'pipe'],
        env: {},
        cwd: '/',
      });
      for (const stream of [child.stdio[descriptors.socket], child.stdio[descriptors.args]])
        stream?.on('error', () => {
          // It ended before it had read all; its exit tells.
        });
      (child.stdio[descriptors.args] as Writable | undefined)?.end(args.map((arg) => `${arg}\0`).join(''));
      return child;
    } finally {
      closeSync(filter);
    }
  }

  get #filterFile(): string {
    return join(this.#folder, 'filter.bpf');
  }

  #ready(): Promise<void> {
    this.#isReady ??= this.#prepare().catch((error: unknown) => {
      // The next one tries again.
      this.#isReady = null;
      throw error;
    });
    return this.#isReady;
  }

  async #prepare(): Promise<void> {
    checkRequirements(this.#options);
    const arch = filterArch(process.arch);
    if (arch === null) return;
    this.#host = readHostView();
    await mkdir(join(this.#folder, 'scratch'), { recursive: true, mode: 0o700 });
    await mkdir(stage, { recursive: true, mode: 0o755 });
    await writeFile(this.#filterFile, seccompFilter(arch));
    // Its own: sandboxes and class containers of a boot may have a backend each.
    const templates = await mkdtemp(join(this.#folder, 'templates-'));
    this.#templates = new ScratchTemplates(templates, this.#host);
  }

  #randomNumber(): number {
    return Buffer.from(this.#options.random.bytes(4)).readUInt32LE();
  }
}

function hasStarted(child: ChildProcess): child is ChildProcess & { readonly pid: number } {
  return child.pid !== undefined;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
