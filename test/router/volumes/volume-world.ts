import { createHash, randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createDiskObjectStore } from '../../../src/adapters/disk/disk-object-store.js';
import { createLmdbStore } from '../../../src/adapters/embedded/lmdb-store.js';
import { systemClock } from '../../../src/adapters/system/clock.js';
import type { Clock } from '../../../src/common/clock.js';
import type { ObjectStore } from '../../../src/common/ports/object-store.js';
import type { Store } from '../../../src/common/ports/store.js';
import type { CommitRecord, VolumeRecord } from '../../../src/common/ports/volume-store.js';
import {
  type CommitOptions,
  type CommitParts,
  type Committed,
  commitVolume,
  rootOf,
} from '../../../src/common/volumes/commit.js';
import { readContent, storeStream } from '../../../src/common/volumes/content.js';
import { entriesOf } from '../../../src/common/volumes/directory.js';
import type { DirectoryEntry } from '../../../src/common/volumes/entry.js';
import { ObjectReader } from '../../../src/common/volumes/object-reader.js';
import { parsePath } from '../../../src/common/volumes/paths.js';
import { type Change, changesAt, changeTree } from '../../../src/common/volumes/tree.js';
import { defaultRetention, type Retention, sweepAccount } from '../../../src/router/volumes/sweep.js';

export const account = 'acme';
const attributes = { mode: 0o755, mtimeSeconds: 0, mtimeNanos: 0 };

/** Bytes of a file by path; null: it is removed. */
export type Files = Readonly<Record<string, Buffer | null>>;

/** Where volumes are. */
export interface VolumeStores {
  readonly store: Store;
  readonly objects: ObjectStore;
}

/** A store and objects, with volumes in them. */
export class VolumeWorld implements AsyncDisposable {
  readonly store: Store;
  readonly objects: ObjectStore;
  readonly folder: string;
  clock: Clock = systemClock;

  private constructor(folder: string, { store, objects }: VolumeStores) {
    this.folder = folder;
    this.store = store;
    this.objects = objects;
  }

  /** @param on instead of an embedded store and a folder; the store is closed here */
  static async start(on?: VolumeStores): Promise<VolumeWorld> {
    const folder = await mkdtemp(join(tmpdir(), 'holdfast-volumes-'));
    const own = (): VolumeStores => ({
      store: createLmdbStore({ path: join(folder, 'store'), clock: systemClock }),
      objects: createDiskObjectStore({ folder: join(folder, 'objects') }),
    });
    return new VolumeWorld(folder, on ?? own());
  }

  async volume(name = `v-${randomUUID()}`, fields: Partial<VolumeRecord> = {}): Promise<VolumeRecord> {
    const volume: VolumeRecord = {
      ...{ account, name, id: randomUUID(), backend: 'cloud_bucket', sizeGb: null, mountPathDefault: null },
      ...{ geolocation: [], isEphemeral: false, createdAtMs: 1, ...fields },
    };
    await this.store.volumes.create(volume, null);
    return volume;
  }

  parts(over: { store?: Pick<Store, 'volumes' | 'holds'>; objects?: ObjectStore } = {}): CommitParts {
    const { volumes, holds } = over.store ?? this.store;
    const objects = over.objects ?? this.objects;
    return { volumes, holds, objects, clock: this.clock, reader: this.reader(objects) };
  }

  reader(objects = this.objects): ObjectReader {
    return new ObjectReader({ objects, account, clock: this.clock });
  }

  async head(volume: VolumeRecord): Promise<CommitRecord | null> {
    return (await this.store.volumes.find(account, volume.name))?.head ?? null;
  }

  /** Commits these files on a base; by default on the head of now. */
  async commit(
    volume: VolumeRecord,
    files: Files,
    how: Partial<CommitOptions> & { base?: CommitRecord | null; parts?: CommitParts } = {},
  ): Promise<Committed> {
    const { parts = this.parts(), base = await this.head(volume), ...rest } = how;
    const build = async (root: DirectoryEntry, builder: Parameters<Parameters<typeof commitVolume>[2]['build']>[1]) => {
      const changes: [string[], Change][] = [];
      for (const [path, bytes] of Object.entries(files)) {
        const content = bytes === null ? null : await storeStream(builder.uploads, onePiece(bytes));
        const change: Change =
          content === null ? { kind: 'delete' } : { kind: 'put', entry: { type: 'file', ...attributes, ...content } };
        changes.push([[...parsePath(path)], change]);
      }
      return await changeTree(builder, root, changesAt(changes, attributes));
    };
    const options = { message: '', onConflict: 'last-writer-wins' as const, ...rest };
    return await commitVolume(parts, { volume, base }, { build, options });
  }

  /** All files of a commit, as `shown` has them. */
  async files(commit: CommitRecord | null, reader = this.reader()): Promise<Record<string, string>> {
    const found: Record<string, Buffer> = {};
    const walk = async (directory: DirectoryEntry, prefix: string): Promise<void> => {
      for await (const [name, entry] of entriesOf(reader, directory)) {
        if (entry.type === 'directory') await walk(entry, `${prefix}${name}/`);
        if (entry.type !== 'file') continue;
        const parts: Uint8Array[] = [];
        for await (const part of readContent(reader, entry)) parts.push(part);
        found[`${prefix}${name}`] = Buffer.concat(parts);
      }
    };
    await walk(rootOf(commit, 0), '');
    return shown(found);
  }

  sweep(retention: Retention = defaultRetention, objects = this.objects) {
    return sweepAccount({ store: this.store, objects, clock: this.clock }, account, retention);
  }

  async keys(): Promise<string[]> {
    const keys: string[] = [];
    for await (const page of this.objects.list('volumes')) keys.push(...page);
    return keys;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store.close();
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** Contents for comparison: short text, or what is told by length and hash. */
export function shown(files: Files): Record<string, string> {
  const text = (bytes: Buffer): string =>
    bytes.length < 100
      ? bytes.toString('latin1')
      : `${bytes.length} bytes ${createHash('sha256').update(bytes).digest('hex')}`;
  const entries = Object.entries(files).filter((entry): entry is [string, Buffer] => entry[1] !== null);
  return Object.fromEntries(entries.map(([path, bytes]) => [path, text(bytes)]));
}

async function* onePiece(bytes: Buffer): AsyncGenerator<Buffer, void, undefined> {
  yield bytes;
}
