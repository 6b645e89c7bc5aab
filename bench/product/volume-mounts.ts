import { execFile } from 'node:child_process';
import { closeSync, openSync, writeSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { systemClock } from '../../src/adapters/system/clock.js';
import { type HostMount, MountHost } from '../../src/runtime/mounts/mount-host.js';
import { readInSandboxes } from '../load/read-in-sandboxes.js';
import type { Target } from '../load/target.js';
import type { VolumePlaces } from '../load/volume-steps.js';
import { account, BenchVolumes } from './bench-volumes.js';

/** What mounts-main.ts opens. */
export interface MountStores {
  readonly storePath: string;
  readonly objects: string;
  /** A file for the number of bytes that were taken from the objects. */
  readonly fetched: string;
}

const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));
const launcher = join(root, `dist/launcher/holdfast-launcher-${process.arch}`);
const cacheBytes = 21_474_836_480;
const largeBytes = 10_737_418_240;
/** In the part of a large file whose chunks have 8 MiB, each time in another one. */
const changedBytes = 4_096;
const chunkBytes = 8_388_608;
const changedChunks = 100;
const ask = { message: '', onConflict: 'fail' } as const;
const ownMount = {
  ...{ account, uid: 0, whenMissing: null, isReadOnly: false, commitsByItself: false },
  ...{ owner: 'bench', maxLocalBytes: largeBytes },
};

/** Mounts as a worker has them, with their process, embedded store and objects in a folder of the host. */
export async function connectMounts(folder: string): Promise<Target> {
  const stores: MountStores = {
    storePath: join(folder, 'store'),
    objects: join(folder, 'objects'),
    fetched: join(folder, 'fetched'),
  };
  await writeFile(stores.fetched, '0');
  const host = new MountHost({
    ...{ entry: join(root, 'bench/product/mounts-main.ts'), bootId: 'bench', folder: join(folder, 'mounts') },
    ...{ launcher, cacheBytes, clock: systemClock, stores },
    env: { PATH: process.env['PATH'] ?? '', NODE_OPTIONS: `--import ${import.meta.resolve('tsx')}` },
  });
  const volumes = new MountedVolumes(host, await BenchVolumes.open(stores), stores);
  return {
    call: () => Promise.reject(new Error('a volume has no methods')),
    volumes,
    close: () => host.close(),
  };
}

class MountedVolumes implements VolumePlaces {
  readonly #host: MountHost;
  readonly #volumes: BenchVolumes;
  readonly #stores: MountStores;
  readonly #ofFiles = new Map<number, Promise<string>>();
  readonly #ofBytes = new Map<number, Promise<string>>();
  #mounts = 0;
  #changes = 0;
  #large: Promise<HostMount> | null = null;
  #written: { readonly volume: string; readonly mount: HostMount } | null = null;

  constructor(host: MountHost, volumes: BenchVolumes, stores: MountStores) {
    this.#host = host;
    this.#volumes = volumes;
    this.#stores = stores;
  }

  async prepare(files: number): Promise<void> {
    await made(this.#ofFiles, files, () => this.#volumes.ofFiles(files));
    // The process of mounts starts with the first one.
    await (await this.#mount(await this.#volumes.empty(), true)).detach();
  }

  async mount(files: number): Promise<() => Promise<void>> {
    const mount = await this.#mount(await made(this.#ofFiles, files, () => this.#volumes.ofFiles(files)), true);
    return () => mount.detach();
  }

  async file(how: 'cold' | 'cached', bytes: number) {
    const volume =
      how === 'cold'
        ? await this.#volumes.ofBytes(bytes)
        : await made(this.#ofBytes, bytes, () => this.#readOnce(bytes));
    // Not kept in memory either.
    if (how === 'cold') await this.#forgetObjects();
    // A mount of its own: the kernel has kept nothing of it.
    const mount = await this.#mount(volume, true);
    return { path: join(mount.folder, 'data'), end: () => mount.detach() };
  }

  async emptyFolder() {
    await this.#written?.mount.detach();
    const volume = await this.#volumes.empty();
    const mount = await this.#mount(volume, false);
    this.#written = { volume, mount };
    return { path: mount.folder, end: () => this.#endWritten() };
  }

  async sameFolder(): Promise<string> {
    if (this.#written === null) throw new Error('nothing was written');
    const { volume, mount } = this.#written;
    await mount.commit(ask);
    await mount.detach();
    this.#written = { volume, mount: await this.#mount(volume, false) };
    return this.#written.mount.folder;
  }

  async change(): Promise<() => Promise<void>> {
    this.#large ??= this.#volumes.ofEqualChunks(largeBytes).then((volume) => this.#mount(volume, false));
    const mount = await this.#large;
    this.#changes += 1;
    const file = openSync(join(mount.folder, 'data'), 'r+');
    const at = (this.#changes % changedChunks) * chunkBytes;
    writeSync(file, Buffer.alloc(changedBytes, `change ${this.#changes}`), 0, changedBytes, at);
    closeSync(file);
    return async () => void (await mount.commit(ask));
  }

  async fanOut(bytes: number, sandboxes: number): Promise<() => Promise<void>> {
    const volume = await this.#volumes.ofBytes(bytes);
    return async () => {
      const mounts = await Promise.all(Array.from({ length: sandboxes }, () => this.#mount(volume, true)));
      await readInSandboxes(mounts.map((mount) => mount.folder));
      await Promise.all(mounts.map((mount) => mount.detach()));
    };
  }

  async fetchedBytes(): Promise<number> {
    return Number(await readFile(this.#stores.fetched, 'utf8'));
  }

  async #mount(volume: string, isPrivate: boolean): Promise<HostMount> {
    this.#mounts += 1;
    return await this.#host.attach({ ...ownMount, name: `m${this.#mounts}`, volume, isPrivate });
  }

  async #endWritten(): Promise<void> {
    await this.#written?.mount.detach();
    this.#written = null;
  }

  /** So that its chunks are in the host's cache. */
  async #readOnce(bytes: number): Promise<string> {
    const volume = await this.#volumes.ofBytes(bytes);
    const mount = await this.#mount(volume, true);
    await readInSandboxes([mount.folder]);
    await mount.detach();
    return volume;
  }

  async #forgetObjects(): Promise<void> {
    const forget = ['-exec', 'sh', '-c', 'dd if="$1" iflag=nocache count=0 status=none', 'dd', '{}', ';'];
    await run('find', [this.#stores.objects, '-type', 'f', '-size', '+1000k', '-newermt', '-1 minute', ...forget]);
  }
}

function made(known: Map<number, Promise<string>>, key: number, make: () => Promise<string>): Promise<string> {
  const making = known.get(key) ?? make();
  known.set(key, making);
  return making;
}
