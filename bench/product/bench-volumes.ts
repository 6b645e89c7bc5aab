import { randomFillSync, randomUUID } from 'node:crypto';
import { createDiskObjectStore } from '../../src/adapters/disk/disk-object-store.js';
import { systemClock } from '../../src/adapters/system/clock.js';
import { openStore } from '../../src/cli/open-store.js';
import type { Store } from '../../src/common/ports/store.js';
import type { VolumeRecord } from '../../src/common/ports/volume-store.js';
import { changeDirectory } from '../../src/common/volumes/change-directory.js';
import { chunkCount, chunkNumber } from '../../src/common/volumes/chunk-layout.js';
import { commitVolume, type TreeBuilder } from '../../src/common/volumes/commit.js';
import { storeChunks, storeStream } from '../../src/common/volumes/content.js';
import type { DirectoryEntry, Entry, FileEntry, Hash } from '../../src/common/volumes/entry.js';
import { ObjectReader } from '../../src/common/volumes/object-reader.js';
import { emptyDirectory } from '../../src/common/volumes/tree.js';

export const account = 'bench';
/** In a folder of a volume with many. */
const filesInFolder = 1_000;
const pieceBytes = 8_388_608;
const attributes = { mode: 0o644, mtimeSeconds: 1, mtimeNanos: 0 };

/** Makes volumes as clients do, on an embedded store and a folder of objects. */
export class BenchVolumes {
  readonly #store: Store;
  readonly #objects: string;

  private constructor(store: Store, objects: string) {
    this.#store = store;
    this.#objects = objects;
  }

  static async open(places: { readonly storePath: string; readonly objects: string }): Promise<BenchVolumes> {
    return new BenchVolumes(await openStore({ kind: 'lmdb', path: places.storePath }, systemClock), places.objects);
  }

  empty(): Promise<string> {
    return this.#made(async () => []);
  }

  /** Small files, each another one, in folders of a thousand. */
  async ofFiles(count: number): Promise<string> {
    return await this.#made(async (builder) => {
      const folders: [string, Entry][] = [];
      for (let from = 0; from < count; from += filesInFolder) {
        const files = new Map<string, Entry>();
        for (let index = from; index < Math.min(from + filesInFolder, count); index += 1) {
          const bytes = Buffer.from(`${index}`);
          const content = { kind: 'inline', bytes } as const;
          files.set(`file-${index - from}`, { type: 'file', ...attributes, size: bytes.length, content });
        }
        const folder = emptyDirectory({ ...attributes, mode: 0o755 });
        folders.push([`folder-${from / filesInFolder}`, await changeDirectory(builder, folder, files)]);
      }
      return folders;
    });
  }

  /** A file `data` of random bytes. */
  async ofBytes(bytes: number): Promise<string> {
    return await this.#made(async (builder) => {
      const stored = await storeStream(builder.uploads, randomPieces(bytes));
      return [['data', { type: 'file', ...attributes, ...stored }]];
    });
  }

  /** A file `data` whose chunks of a length are all the same one: it is as long, and takes no room to speak of. */
  async ofEqualChunks(bytes: number): Promise<string> {
    return await this.#made(async (builder) => {
      const known = new Map<number, Hash>();
      const chunks: Hash[] = [];
      for (let index = 0; index < chunkCount(bytes); index += 1) {
        const { length } = chunkNumber(index, bytes);
        const hash = known.get(length) ?? (await builder.uploads.object(randomFillSync(Buffer.alloc(length))));
        known.set(length, hash);
        chunks.push(hash);
      }
      const { stored } = await storeChunks(builder.uploads, bytes, chunks);
      const file: FileEntry = { type: 'file', ...attributes, ...stored };
      return [['data', file]];
    });
  }

  /** The name of a new volume. */
  async #made(entries: (builder: TreeBuilder) => Promise<readonly (readonly [string, Entry])[]>): Promise<string> {
    const { volumes, holds } = this.#store;
    const volume: VolumeRecord = {
      ...{ account, name: `v-${randomUUID()}`, id: randomUUID(), backend: 'cloud_bucket', sizeGb: null },
      ...{ mountPathDefault: null, geolocation: [], isEphemeral: false, createdAtMs: 1 },
    };
    await volumes.create(volume, null);
    const objects = createDiskObjectStore({ folder: this.#objects });
    const reader = new ObjectReader({ objects, account, clock: systemClock });
    const build = async (root: DirectoryEntry, builder: TreeBuilder) =>
      await changeDirectory(builder, root, new Map(await entries(builder)));
    const options = { message: '', onConflict: 'fail' } as const;
    const parts = { volumes, holds, objects, reader, clock: systemClock };
    await commitVolume(parts, { volume, base: null }, { build, options });
    return volume.name;
  }
}

async function* randomPieces(bytes: number): AsyncGenerator<Buffer, void, undefined> {
  for (let left = bytes; left > 0; left -= pieceBytes) yield randomFillSync(Buffer.alloc(Math.min(left, pieceBytes)));
}
