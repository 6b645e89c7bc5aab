import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chown, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import type { Clock, Random } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import type {
  IsolatedProcess,
  IsolatedSpec,
  IsolationBackend,
  LayerTool,
  Scratch,
  ScratchOptions,
} from '../../common/ports/sandbox.js';
import type { Watchdog } from '../../common/ports/watchdog.js';
import { bootFolderName } from '../process/boot-folder.js';
import type { Cgroup, Cgroups } from '../process/cgroups.js';
import { ConfinedProcess } from '../process/confined-process.js';
import { ForkStorms } from '../process/fork-storms.js';
import { removeFolder } from '../process/remove-folder.js';
import { keepYielding } from '../process/yielding.js';
import { bubblewrapWalls, checkId, checkSpec, descriptors, stage } from './bubblewrap-start.js';
import { type HostView, readHostView } from './host-view.js';
import { BubblewrapProcess } from './isolated-process.js';
import { hasStarted, launch } from './launcher.js';
import { type LayerStartParts, type LayerWords, packWords, unpackWords } from './layer-start.js';
import { startLayerTool } from './layer-tool.js';
import { checkRequirements, findProgram, unavailable } from './requirements.js';
import { layerUser } from './root-layers.js';
import { DiskScratch } from './scratch.js';
import { ScratchTemplates } from './scratch-template.js';
import { filterArch, seccompFilter } from './seccomp-filter.js';
import type { Walls } from './walls.js';

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
  /** Default: bubblewrap's. It works on layers in any case. */
  readonly walls?: Walls;
}

/** Ids that no distribution hands out and systemd leaves alone (systemd's UIDS-GIDS, "unused"). */
const firstUser = 0x70_00_00_00;
const users = 0x0f_fe_00_00;
const trialLimits = { memoryMb: 256, cpu: 1, pids: 256 };
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
  readonly kind: IsolationBackend['kind'];
  readonly #options: BubblewrapOptions;
  readonly #walls: Walls;
  readonly #folder: string;
  readonly #storms: ForkStorms;
  #host: HostView | null = null;
  #templates: ScratchTemplates | null = null;
  #isReady: Promise<void> | null = null;
  #stopYielding: (() => void) | null = null;

  constructor(options: BubblewrapOptions) {
    this.#options = options;
    this.#walls = options.walls ?? bubblewrapWalls;
    this.kind = this.#walls.kind;
    this.#folder = join(options.folder, bootFolderName(options.bootId));
    this.#storms = new ForkStorms(options.clock);
  }

  async check(): Promise<void> {
    checkRequirements(this.#options);
    this.#walls.findProgram();
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
      if (exitCode !== 0)
        throw unavailable(`a trial ended with ${signal ?? exitCode}: ${trial.lastWords}`, undefined, this.kind);
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
    const uid = this.#walls.userOf(firstUser + (this.#randomNumber() % users));
    const { onRemoved } = options;
    return new DiskScratch({ id, root, file, source, uid, launcher: this.#options.launcher, onRemoved });
  }

  /** What the first start copies to `file`, unless that is there by then. */
  async #sourceOf({ root, diskGb, from }: ScratchOptions, file: string): Promise<string> {
    if (typeof from === 'string') return from;
    if (from === undefined) return (await this.#templates?.find(root, diskGb, file)) ?? file;
    await from.save(file);
    return file;
  }

  async start(spec: IsolatedSpec): Promise<IsolatedProcess> {
    checkSpec(spec);
    const scratch = ownScratch(spec.scratch);
    if (scratch.isUsed)
      throw new HoldfastError('InvalidArgument', `isolated process ${spec.id}: its scratch is in use`);
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

  async pack(scratch: Scratch, what: 'layer' | 'flat'): Promise<LayerTool> {
    const { uid, root } = ownScratch(scratch);
    await this.#ready();
    const id = `pack-${this.#randomNumber()}`;
    const file = join(this.#folder, 'scratch', `${id}.img`);
    const remove = async (): Promise<void> => await rm(file, { force: true });
    try {
      await scratch.save(file);
      return this.#work(id, (parts) => packWords(parts, { file, uid, root }, what), remove);
    } catch (error) {
      await remove();
      throw error;
    }
  }

  async unpack(folder: string): Promise<LayerTool> {
    await this.#ready();
    await mkdir(folder, { mode: 0o755 });
    await chown(folder, layerUser, layerUser);
    return this.#work(`unpack-${this.#randomNumber()}`, (parts) => unpackWords(parts, folder));
  }

  #work(id: string, wordsOf: (parts: LayerStartParts) => LayerWords, after?: () => Promise<void>): LayerTool {
    const { launcher, clock } = this.#options;
    const [bwrap, tar] = [findProgram('bwrap'), findProgram('tar')];
    if (bwrap === null || tar === null || this.#host === null) throw unavailable('bubblewrap or tar is gone');
    const cgroup = this.#yieldingGroup(id);
    const words = wordsOf({ host: this.#host, bwrap, tar, cgroupFolders: cgroup.entries });
    return startLayerTool({ id, words, launcher, filter: this.#filterFile, cgroup, clock, after });
  }

  async close(): Promise<void> {
    this.#isReady = Promise.reject(
      new HoldfastError('Unavailable', 'the worker is ending and isolates nothing any more'),
    );
    this.#isReady.catch(() => undefined); // told to those who start something
    this.#stopYielding?.();
    await removeFolder(this.#folder);
  }

  #yieldingGroup(id: string): Cgroup {
    const { cgroups, clock } = this.#options;
    if (cgroups.yielding !== null)
      this.#stopYielding ??= keepYielding(cgroups.yielding, clock, (isBusy) => this.#storms.look(isBusy));
    return cgroups.create(id, 'yielding');
  }

  async #spawn(spec: IsolatedSpec, scratch: DiskScratch): Promise<BubblewrapProcess> {
    const { cgroups, launcher, clock, watchdog } = this.#options;
    const cgroup = spec.yields === true ? this.#yieldingGroup(spec.id) : cgroups.create(spec.id);
    try {
      cgroup.limit(spec.limits);
      const child = await this.#launch(spec, scratch, cgroup.entries);
      if (!hasStarted(child))
        throw unavailable(`the launcher does not run: ${String((await once(child, 'error'))[0])}`);
      const confined = new ConfinedProcess({ id: spec.id, child, cgroup, clock, limitsMemory: true, isWrapped: true });
      const socket = child.stdio[descriptors.socket] as Socket;
      // No longer than it is this process that has its pid.
      if (cgroup.forks !== null) child.once('exit', this.#storms.watch({ pid: child.pid, forks: cgroup.forks }));
      const onGone = async (): Promise<void> => {
        watchdog.release(spec.id);
        await removeFolder(this.#folderOf(spec));
      };
      const { diskPath } = this.#walls;
      return new BubblewrapProcess({ confined, socket, cgroup, scratch, diskPath, launcher, clock, onGone });
    } catch (error) {
      cgroup.remove();
      throw error;
    }
  }

  async #launch(spec: IsolatedSpec, scratch: DiskScratch, cgroupFolders: readonly string[]): Promise<ChildProcess> {
    const program = this.#walls.findProgram();
    const host = this.#host;
    if (host === null) throw unavailable('what the host has was not looked at');
    const folder = this.#folderOf(spec);
    const { words, args } = await this.#walls.start({ spec, host, program, folder, cgroupFolders, scratch });
    const ends = ['ignore', 'pipe', 'pipe', 'pipe'] as const;
    const filter = spec.isBuilder === true ? this.#builderFilterFile : this.#filterFile;
    return launch({ launcher: this.#options.launcher, filter }, { words, args }, ends);
  }

  #folderOf({ id }: IsolatedSpec): string {
    return join(this.#folder, 'walls', id);
  }

  /** A boot may have a backend of each kind: none reads what the other is just writing. */
  get #filterFile(): string {
    return join(this.#folder, `filter-${this.kind}.bpf`);
  }

  get #builderFilterFile(): string {
    return join(this.#folder, `filter-${this.kind}-builder.bpf`);
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
    await writeFile(this.#builderFilterFile, seccompFilter(arch, true));
    // Its own: sandboxes and class containers of a boot may have a backend each.
    const templates = await mkdtemp(join(this.#folder, 'templates-'));
    this.#templates = new ScratchTemplates(templates, this.#host);
  }

  #randomNumber(): number {
    return Buffer.from(this.#options.random.bytes(4)).readUInt32LE();
  }
}

/** @throws InvalidArgument */
function ownScratch(scratch: Scratch): DiskScratch {
  if (scratch instanceof DiskScratch) return scratch;
  throw new HoldfastError('InvalidArgument', `scratch ${scratch.id} is of another backend`);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
