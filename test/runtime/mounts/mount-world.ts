import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../../src/adapters/system/clock.js';
import type { VolumeRecord } from '../../../src/common/ports/volume-store.js';
import { type HostMount, MountHost } from '../../../src/runtime/mounts/mount-host.js';
import type { MountAsk } from '../../../src/runtime/mounts/mount-messages.js';
import type { MountProcessOptions } from '../../../src/runtime/mounts/mount-process.js';
import { account, VolumeWorld } from '../../router/volumes/volume-world.js';
import { launcher } from '../isolation/harness.js';

const entry = fileURLToPath(new URL('../../../dist/cli/mount-main.js', import.meta.url));
const programWithinMs = 120_000;

/** Volumes, and a process that mounts them. Programs look into the mounts, never this process: it would wait for ever where one hangs. */
export class MountWorld implements AsyncDisposable {
  readonly volumes: VolumeWorld;
  readonly host: MountHost;
  readonly folder: string;
  readonly options: Omit<MountProcessOptions, 'clock'>;
  #mounts = 0;

  private constructor(volumes: VolumeWorld, folder: string) {
    this.volumes = volumes;
    this.folder = folder;
    this.options = {
      ...{ entry, bootId: 'test', folder, launcher, cacheBytes: 1e9 },
      stores: {
        store: { kind: 'lmdb', path: join(volumes.folder, 'store') },
        objects: join(volumes.folder, 'objects'),
      },
      env: { PATH: process.env['PATH'] ?? '' },
    };
    this.host = new MountHost({ ...this.options, clock: systemClock });
  }

  static async start(): Promise<MountWorld> {
    return new MountWorld(await VolumeWorld.start(), await mkdtemp(join(tmpdir(), 'holdfast-mounts-')));
  }

  async mount(volume: VolumeRecord, how: Partial<MountAsk> = {}): Promise<HostMount> {
    this.#mounts += 1;
    return await this.host.attach({
      ...{ name: `m${this.#mounts}`, account, volume: volume.name, uid: 0 },
      ...{ whenMissing: null, isReadOnly: false, isPrivate: false, commitsByItself: false },
      ...{ owner: `o${this.#mounts}`, maxLocalBytes: 1e10, ...how },
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.host.close();
    await this.volumes[Symbol.asyncDispose]();
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** What a program of the host said; in a folder, as root or as another user. @throws with what it said on stderr */
export async function run(folder: string, script: string, how: { uid?: number; env?: object } = {}): Promise<string> {
  return await new Promise((resolve, reject) => {
    const options = {
      ...{ cwd: folder, timeout: programWithinMs, killSignal: 'SIGKILL' as const, maxBuffer: 64_000_000 },
      env: { PATH: process.env['PATH'], HOME: '/nonexistent', LANG: 'C.UTF-8', ...how.env },
      ...(how.uid === undefined ? {} : { uid: how.uid, gid: how.uid }),
    };
    execFile('/bin/bash', ['--norc', '-euc', script], options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`exit code ${error.code}: ${error.message}\n${stderr}${stdout}`));
    });
  });
}

/** Folders where something of ours is mounted, below one. */
export function mountedBelow(folder: string): string[] {
  const lines = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  return lines.filter((line) => line.includes(' fuse.holdfast ') && line.includes(folder));
}
