import { mkdirSync, statfsSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import type { ObjectStore } from '../../common/ports/object-store.js';
import type { Store } from '../../common/ports/store.js';
import { inParallel } from '../../common/volumes/in-parallel.js';
import { ObjectReader } from '../../common/volumes/object-reader.js';
import { removeFolder } from '../process/remove-folder.js';
import { ChunkCache } from './content/chunk-cache.js';
import { ChunkThreads } from './content/chunk-threads.js';
import { contentCache } from './content/content-cache.js';
import { LocalBudget } from './content/local-budget.js';
import { LocalChunks } from './content/local-chunk.js';
import { outdatedAttributes, outdatedName } from './fuse/replies.js';
import { type FuseMount, mountFuse } from './fuse-mount.js';
import { byItself, commitLast } from './last-commit.js';
import type { MountAsk } from './mount-messages.js';
import { MountedFiles } from './mounted-files.js';
import { MountedTrees } from './mounted-trees.js';
import type { Outdated } from './overlay/overlay-rebase.js';
import { OverlayTree } from './overlay/overlay-tree.js';
import { surplusNames } from './overlay/surplus-names.js';
import type { VolumeAsk } from './volume-control.js';
import { VolumeMount } from './volume-mount.js';

/** A change is committed within 10 s: one that just missed a round, the round, and the commit. */
const roundMs = 3_000;
const commitsAtOnce = 4;
const askAgainWithinMs = 5_000; // who reads from an object store that stalls waits for this and one request
const forgetRoundMs = 1_000;
const maxMemoryBytes = 67_108_864;
const bytesPerGb = 1_073_741_824;
/** Of one mount until its next commit; of all of them there is a limit in the table of nodes. */
const maxNames = 500_000;

export interface MountDaemonParts {
  readonly store: Pick<Store, 'volumes' | 'holds'>;
  readonly objects: ObjectStore;
  readonly clock: Clock;
  readonly launcher: string;
  /** Of this process alone; removed with it. */
  readonly folder: string;
  readonly cacheBytes: number;
  /** chunk-thread-main */
  readonly chunkThread: URL;
  readonly log: (line: string) => void;
}

interface Mounted {
  readonly mount: VolumeMount;
  readonly localFolder: string;
  readonly owner: string;
}

/**
 * The mounts of a host, in a process of their own: one file system with a folder for each.
 *
 * I1. This process never opens, stats or lists anything below `files`: the kernel would ask it, and it would wait for itself.
 * I2. Changes are committed in rounds, and when a mount or the process ends; what a killed process had not committed is lost.
 */
export class MountDaemon {
  readonly files: string;
  readonly #parts: MountDaemonParts;
  readonly #trees = new MountedTrees();
  readonly #mounted = new Map<string, Mounted>();
  readonly #attaching = new Map<string, Promise<string>>();
  /** By owner, for as long as it has mounts. */
  readonly #budgets = new Map<string, LocalBudget>();
  readonly #cache: ChunkCache;
  readonly #threads: ChunkThreads;
  readonly #reader: (account: string) => ObjectReader;
  readonly #ending = new AbortController();
  readonly #said = new Map<string, string>();
  #fuse: FuseMount | null = null;
  #flushing: Promise<void> | null = null;
  #telling: Promise<void> = Promise.resolve();

  /** @throws Unavailable, with what is missing on this host */
  static async start(parts: MountDaemonParts): Promise<MountDaemon> {
    const daemon = new MountDaemon(parts);
    await daemon.#mount();
    void daemon.#commitInRounds();
    void daemon.#forgetInRounds();
    return daemon;
  }

  private constructor(parts: MountDaemonParts) {
    this.#parts = parts;
    this.files = join(parts.folder, 'files');
    const { objects, clock } = parts;
    const readers = new Map<string, ObjectReader>();
    this.#reader = (account) => {
      const reader = readers.get(account) ?? new ObjectReader({ objects, account, clock, askAgainWithinMs });
      readers.set(account, reader);
      return reader;
    };
    mkdirSync(join(parts.folder, 'local'), { recursive: true, mode: 0o700 });
    this.#cache = new ChunkCache({ folder: join(parts.folder, 'cache'), maxBytes: parts.cacheBytes });
    this.#threads = new ChunkThreads(parts.chunkThread);
  }

  /** Resolves when nothing of it is mounted any more, also by others. */
  get over(): Promise<void> {
    return this.#fuse?.over ?? Promise.resolve();
  }

  /** The folder where it is seen. @throws AlreadyExists, NotFound, Unavailable */
  async attach(ask: MountAsk): Promise<string> {
    const { name } = ask;
    if (!/^[\w-]{1,64}$/.test(name) || this.#mounted.has(name) || this.#attaching.has(name))
      throw new HoldfastError('AlreadyExists', `${JSON.stringify(name)} cannot be the name of another mount here`);
    const attaching = this.#attach(ask);
    this.#attaching.set(name, attaching);
    try {
      return await attaching;
    } finally {
      this.#attaching.delete(name);
    }
  }

  async #attach(ask: MountAsk): Promise<string> {
    const localFolder = await mkdtemp(join(this.#parts.folder, 'local', `${ask.name}-`));
    try {
      return await this.#attachWith(localFolder, ask);
    } catch (error) {
      await removeFolder(localFolder);
      throw error;
    }
  }

  async #attachWith(localFolder: string, ask: MountAsk): Promise<string> {
    const { name, uid, account, isReadOnly, owner, maxLocalBytes } = ask;
    const budget = this.#budgets.get(owner) ?? new LocalBudget(maxLocalBytes);
    const { store, objects, clock } = this.#parts;
    const reader = this.#reader(account);
    const mount = await VolumeMount.attach(
      {
        commits: { volumes: store.volumes, holds: store.holds, objects, reader, clock },
        create: (volume, ttlMs) => store.volumes.create(volume, ttlMs),
        flush: () => this.#flush(),
        tell: (outdated) => this.#tell(outdated),
      },
      ask,
      (root) => {
        const locals = new LocalChunks({ folder: localFolder, maxMemoryBytes, budget, threads: this.#threads });
        const cache = contentCache(this.#cache, reader, (chunk) => this.#threads.keep(chunk));
        const content = { cache, locals, reader };
        return new OverlayTree({ source: reader, content, table: this.#trees.table, clock, maxNames }, root);
      },
    );
    const { sizeGb } = mount.volume;
    const maxBytes = sizeGb === null ? null : Math.floor(sizeGb * bytesPerGb);
    this.#mounted.set(name, { mount, localFolder, owner });
    this.#budgets.set(owner, budget);
    this.#trees.add(name, mount.tree, { uid, isReadOnly, maxBytes, budget });
    await this.#tell([{ parentId: 1, name }]);
    this.#threads.start();
    return join(this.files, name);
  }

  /** @throws NotFound */
  mount(name: string): VolumeMount {
    const mounted = this.#mounted.get(name);
    if (mounted !== undefined) return mounted.mount;
    throw new HoldfastError('NotFound', `nothing is mounted as ${name} here`);
  }

  /** It is unmounted also where its last commit fails. @throws what that fails with */
  async detach(name: string): Promise<void> {
    await this.#attaching.get(name)?.catch(() => undefined); // told to whoever asked for it
    const mounted = this.#mounted.get(name);
    if (mounted === undefined) return;
    try {
      if (commitsByItself(mounted)) await commitLast(mounted.mount, this.#parts.clock);
    } finally {
      this.#mounted.delete(name);
      this.#said.delete(name);
      this.#trees.remove(name);
      if (![...this.#mounted.values()].some(({ owner }) => owner === mounted.owner))
        this.#budgets.delete(mounted.owner);
      await this.#tell([{ parentId: 1, name }]);
      await mounted.mount.close();
      await removeFolder(mounted.localFolder);
    }
  }

  /** Commits what is to be committed, then nothing of it is left. */
  async stop(): Promise<void> {
    this.#ending.abort();
    await inParallel([...this.#mounted.keys()], commitsAtOnce, async (name) => {
      await this.detach(name).catch((error: unknown) => this.#say(name, error));
    });
    await this.#fuse?.unmount();
    await this.#threads.end();
    await removeFolder(this.#parts.folder);
  }

  async #mount(): Promise<void> {
    const files = new MountedFiles({
      trees: this.#trees,
      diskSpace: () => {
        const { bsize, blocks, bavail } = statfsSync(this.#parts.folder);
        return { totalBytes: bsize * blocks, freeBytes: bsize * bavail };
      },
      control: (tree, asked) => this.#control(tree, asked),
    });
    this.#fuse = await mountFuse({
      launcher: this.#parts.launcher,
      folder: this.files,
      clock: this.#parts.clock,
      handler: (request) => files.answer(request),
      onFailure: (error) => this.#say('', error),
    });
  }

  async #control(tree: OverlayTree, asked: VolumeAsk): Promise<string> {
    const mounted = [...this.#mounted.values()].find(({ mount }) => mount.tree === tree);
    if (mounted === undefined) throw new HoldfastError('NotFound', 'it is mounted no more');
    const { mount } = mounted;
    switch (asked.type) {
      case 'commit':
        return await mount.commit(asked.ask);
      case 'reload':
        return await mount.reload(asked.isForced);
      case 'name':
        return mount.volume.name;
      default:
        return asked satisfies never;
    }
  }

  async #commitInRounds(): Promise<void> {
    const { signal } = this.#ending;
    while (!signal.aborted) {
      await this.#parts.clock.sleep(roundMs, signal).catch(() => undefined); // ending: the condition sees it
      const mounted = [...this.#mounted];
      if (signal.aborted || mounted.length === 0) continue;
      if (mounted.some(([, one]) => commitsByItself(one)))
        await this.#flush().catch((error: unknown) => this.#say('', error));
      await inParallel(mounted, commitsAtOnce, ([name, one]) => this.#keepUp(name, one));
    }
  }

  /** The kernel knows of all that was ever looked at; it forgets what it is told to. */
  async #forgetInRounds(): Promise<void> {
    const { signal } = this.#ending;
    while (!signal.aborted) {
      await this.#parts.clock.sleep(forgetRoundMs, signal).catch(() => undefined); // ending: the condition sees it
      if (!signal.aborted) await this.#tell(surplusNames(this.#trees.table));
    }
  }

  /** Holds what it stands on, and commits what was changed where that is to be. */
  async #keepUp(name: string, mounted: Mounted): Promise<void> {
    const { mount } = mounted;
    try {
      await mount.keepHold();
      if (commitsByItself(mounted) && mount.tree.isChanged) await mount.commit(byItself);
      this.#said.delete(name);
    } catch (error) {
      this.#say(name, error);
    }
  }

  /** Of the whole file system; what could not be written was told to whoever wrote it. */
  #flush(): Promise<void> {
    const flushed = async (): Promise<void> => await this.#fuse?.flush();
    const before = this.#flushing ?? Promise.resolve();
    const mine = before.then(flushed, flushed);
    this.#flushing = mine;
    return mine;
  }

  /** One after the other for all mounts: each may hold one of Node's few threads until a request that needs one is answered. */
  #tell(outdated: readonly Outdated[]): Promise<void> {
    const mine = this.#telling.then(async () => {
      for (const one of outdated) {
        const notice = 'nodeId' in one ? outdatedAttributes(one.nodeId) : outdatedName(one.parentId, one.name);
        await this.#fuse?.device.notify(notice);
      }
    });
    this.#telling = mine; // a notice is never refused
    return mine;
  }

  /** Once, not in every round. */
  #say(name: string, error: unknown): void {
    const text = error instanceof Error ? error.message : String(error);
    if (this.#said.get(name) === text) return;
    this.#said.set(name, text);
    this.#parts.log(name === '' ? `mounts: ${text}` : `mount ${name}: ${text}`);
  }
}

function commitsByItself({ mount }: Mounted): boolean {
  const { commitsByItself, isReadOnly, isPrivate } = mount.options;
  return commitsByItself && !isReadOnly && !isPrivate;
}
