import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../../../src/adapters/system/clock.js';
import type { VolumeRecord } from '../../../src/common/ports/volume-store.js';
import type { CommitParts } from '../../../src/common/volumes/commit.js';
import type { DirectoryEntry, Hash } from '../../../src/common/volumes/entry.js';
import { ChunkCache } from '../../../src/runtime/mounts/content/chunk-cache.js';
import { contentCache } from '../../../src/runtime/mounts/content/content-cache.js';
import { LocalBudget } from '../../../src/runtime/mounts/content/local-budget.js';
import { LocalChunks } from '../../../src/runtime/mounts/content/local-chunk.js';
import { hashOfFile, keepVerified } from '../../../src/runtime/mounts/content/verified-chunk.js';
import { type DirectoryNode, type MountNode, NodeTable } from '../../../src/runtime/mounts/overlay/overlay-node.js';
import type { Outdated } from '../../../src/runtime/mounts/overlay/overlay-rebase.js';
import { OverlayTree } from '../../../src/runtime/mounts/overlay/overlay-tree.js';
import { VolumeMount } from '../../../src/runtime/mounts/volume-mount.js';
import { account, VolumeWorld } from '../../router/volumes/volume-world.js';

/** What is in a mount, by path: bytes of a file, the target of a link, null for a directory. */
export type Seen = Map<string, Buffer | string | null>;

interface MountHow {
  readonly cacheBytes?: number;
  readonly memoryBytes?: number;
  readonly maxNames?: number;
  /** What its commits reach the stores through. */
  readonly through?: (parts: CommitParts) => CommitParts;
}

/** Mounts of volumes without a kernel in front of them. */
export class OverlayWorld implements AsyncDisposable {
  readonly volumes: VolumeWorld;
  readonly table = new NodeTable();
  readonly told: Outdated[] = [];
  fetched: Hash[] = [];
  readonly #mounts: VolumeMount[] = [];

  private constructor(volumes: VolumeWorld) {
    this.volumes = volumes;
  }

  static async start(): Promise<OverlayWorld> {
    return new OverlayWorld(await VolumeWorld.start());
  }

  async mount(volume: VolumeRecord, how: MountHow = {}): Promise<VolumeMount> {
    const reader = this.volumes.reader();
    const folder = mkdtempSync(join(this.volumes.folder, 'mount-'));
    const chunks = new ChunkCache({ folder: join(folder, 'cache'), maxBytes: how.cacheBytes ?? 1e9 });
    const cache = contentCache(chunks, reader, async (chunk) => {
      this.fetched.push(chunk.hash);
      return keepVerified(chunk);
    });
    const budget = new LocalBudget(1e9);
    const threads = { hash: async (path: string) => hashOfFile(path) };
    const locals = new LocalChunks({ folder, maxMemoryBytes: how.memoryBytes ?? 1e6, budget, threads });
    const maxNames = how.maxNames ?? 1_000_000;
    const content = { cache, locals, reader };
    const parts = this.volumes.parts();
    const mount = await VolumeMount.attach(
      {
        commits: how.through?.(parts) ?? parts,
        create: (volume, ttlMs) => this.volumes.store.volumes.create(volume, ttlMs),
        flush: () => Promise.resolve(),
        tell: async (outdated) => void this.told.push(...outdated),
      },
      { account, volume: volume.name, whenMissing: null, isReadOnly: false, isPrivate: false, commitsByItself: false },
      (root: DirectoryEntry) =>
        new OverlayTree({ source: reader, content, table: this.table, clock: systemClock, maxNames }, root),
    );
    this.#mounts.push(mount);
    return mount;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const mount of this.#mounts) await mount.close();
    await this.volumes[Symbol.asyncDispose]();
  }
}

/** Everything that is in a mount. */
export async function seen({ tree }: VolumeMount): Promise<Seen> {
  const found: Seen = new Map();
  const walk = async (directory: DirectoryNode, prefix: string): Promise<void> => {
    const names: string[] = [];
    for await (const [name] of tree.list(directory)) names.push(name);
    if (new Set(names).size !== names.length) throw new Error(`a name is listed twice in ${prefix}: ${names}`);
    for (const name of names.sort()) {
      const node = (await tree.lookUp(directory, name)) as MountNode;
      const path = `${prefix}${name}`;
      if (node.type === 'file') found.set(path, await node.content.read(0, node.content.size));
      if (node.type === 'symlink') found.set(path, node.target);
      if (node.type !== 'directory') continue;
      found.set(path, null);
      await walk(node, `${path}/`);
    }
  };
  await walk(tree.root, '');
  return found;
}

/** @throws where there is nothing */
export async function at({ tree }: VolumeMount, path: string): Promise<MountNode> {
  let node: MountNode = tree.root;
  for (const name of path.split('/').filter((part) => part !== '')) {
    const next: MountNode | null = node.type === 'directory' ? await tree.lookUp(node, name) : null;
    if (next === null) throw new Error(`there is no ${path}`);
    node = next;
  }
  return node;
}

export async function folderAt(mount: VolumeMount, path: string): Promise<DirectoryNode> {
  const node = await at(mount, path);
  if (node.type !== 'directory') throw new Error(`${path} is no directory`);
  return node;
}

/** Makes a file, or writes over what is in it. */
export async function write(
  mount: VolumeMount,
  path: string,
  { bytes, offset = 0 }: { readonly bytes: Buffer | string; readonly offset?: number },
): Promise<void> {
  const [above, name] = [path.split('/').slice(0, -1).join('/'), path.split('/').at(-1) as string];
  const directory = await folderAt(mount, above);
  const known = await mount.tree.lookUp(directory, name);
  const node = known ?? (await mount.tree.makeFile(directory, name, 0o644));
  if (node.type !== 'file') throw new Error(`${path} is no file`);
  await node.content.write(offset, Buffer.from(bytes));
  mount.tree.wrote(node);
}
