import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { openS3ObjectStore } from '../../../src/adapters/s3/s3-object-store.js';
import { systemClock } from '../../../src/adapters/system/clock.js';
import type { Clock } from '../../../src/common/clock.js';
import type { HoldfastError } from '../../../src/common/errors.js';
import type { VolumeRecord } from '../../../src/common/ports/volume-store.js';
import { MountDaemon } from '../../../src/runtime/mounts/mount-daemon.js';
import { isolatedTest } from '../../isolated-test.js';
import { account, VolumeWorld } from '../../router/volumes/volume-world.js';
import { type S3Fault, S3FaultProxy } from '../../s3/fault-proxy.js';
import { startS3 } from '../../servers.js';
import { launcher } from '../isolation/harness.js';
import { run } from './mount-world.js';

const credentials = { accessKeyId: 'AKIDTEST', secretAccessKey: 'secret/test+key' };
const volumeTool = fileURLToPath(new URL(`../../../dist/volume-tool/holdfast-volume-${process.arch}`, import.meta.url));
const chunkThread = new URL('../../../dist/runtime/mounts/content/chunk-thread-main.js', import.meta.url);

/** A volume in a bucket, mounted by a process whose requests run out of time when a test says so. */
interface Stalling {
  readonly volumes: VolumeWorld;
  readonly volume: VolumeRecord;
  readonly daemon: MountDaemon;
  readonly proxy: S3FaultProxy;
  /** Where it is seen. */
  readonly mounted: string;
  /** The time of each request that is under way is over, and has passed. */
  late(): void;
}

async function withStalling(body: (world: Stalling) => Promise<void>): Promise<void> {
  await using s3 = await startS3();
  await using proxy = await S3FaultProxy.start(s3.url);
  let passedMs = 0;
  const armed = new Map<() => void, number>();
  const after: Clock['after'] = (ms, task) => {
    armed.set(task, ms);
    return { cancel: () => void armed.delete(task) };
  };
  const clock = { ...systemClock, monotonic: () => systemClock.monotonic() + passedMs };
  const url = `s3://${s3.bucket}?endpoint=${proxy.endpoint}`;
  const objects = await openS3ObjectStore({ url, clock: { ...clock, after }, credentials });
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-stalled-'));
  await using volumes = await VolumeWorld.start();
  const volume = await volumes.volume();
  await volumes.commit(volume, { a: Buffer.alloc(100_000, 'a') }, { parts: volumes.parts({ objects }) });
  const log = (): void => undefined;
  const { store } = volumes;
  const daemon = await MountDaemon.start({
    ...{ store, objects, clock, launcher, folder, cacheBytes: 1e9, chunkThread, log },
  });
  const mounted = await daemon.attach({
    ...{ name: 'm1', account, volume: volume.name, uid: 0, whenMissing: null, isReadOnly: false, isPrivate: false },
    ...{ commitsByItself: false, owner: 'o', maxLocalBytes: 1e9 },
  });
  const late = (): void => {
    passedMs += Math.max(0, ...armed.values());
    for (const task of armed.keys()) task();
    armed.clear();
  };
  try {
    await body({ volumes, volume, daemon, proxy, mounted, late });
  } finally {
    await daemon.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Resolves when a request with that method has come, and meets the fault, as all that follow. */
function met(proxy: S3FaultProxy, wanted: string, fault: S3Fault | Promise<null>): Promise<void> {
  return new Promise((resolve) => {
    proxy.fault = ({ method }) => {
      if (method === wanted) setImmediate(resolve);
      return method === wanted ? fault : null;
    };
  });
}

isolatedTest(
  'who reads a volume whose object store stalls gets an error after one request, and goes on later',
  async () => {
    await withStalling(async ({ proxy, mounted, late }) => {
      for (const fault of ['stall', 'stall-midway'] as const) {
        const isStalled = met(proxy, 'GET', fault);
        // Not from its folder: who starts a program waits until that is in it.
        const said = run('/', `cat ${mounted}/a 2>&1 > /dev/null || true`);
        await isStalled;
        late();
        expect(await said).toContain('Input/output error');
      }
      proxy.fault = () => null;
      expect(await run('/', `tr -d a < ${mounted}/a | wc -c; wc -c < ${mounted}/a`)).toBe('0\n100000\n');
    });
  },
);

isolatedTest('a commit to a bucket that stalls says so, and what was written is in the next one', async () => {
  await withStalling(async ({ volumes, volume, daemon, proxy, mounted, late }) => {
    await run(
      '/',
      `echo small > ${mounted}/small; yes ${randomBytes(8).toString('hex')} | head -c 200000 > ${mounted}/big`,
    );
    const ask = { message: '', onConflict: 'fail' } as const;
    const commit = daemon.mount('m1').commit(ask);
    const failed = commit.then(
      () => null,
      (error: unknown) => error,
    );
    let isOver = false;
    void failed.then(() => {
      isOver = true;
    });
    while (!isOver) {
      await Promise.race([met(proxy, 'PUT', 'stall'), failed]);
      late();
    }
    const error = (await failed) as HoldfastError;
    expect(error).toMatchObject({ code: 'Unavailable', retryable: true, outcome: 'not-run' });
    const said = `^the commit to volume ${volume.name} failed after \\d+ s: (storing|looking for) .*${proxy.endpoint}.*; nothing of it is published, try again$`;
    expect(error.message).toMatch(new RegExp(said));
    expect((await volumes.head(volume))?.root).toMatchObject({ files: 1 });
    proxy.fault = () => null;
    expect(await run('/', `cat ${mounted}/small; wc -c < ${mounted}/big`)).toBe('small\n200000\n');
    await daemon.mount('m1').commit(ask);
    expect((await volumes.head(volume))?.root).toMatchObject({ files: 3 });
  });
});

isolatedTest('who asked for a commit and is killed leaves at once, and the commit goes on without him', async () => {
  await withStalling(async ({ volumes, volume, daemon, proxy, mounted }) => {
    await run('/', `echo small > ${mounted}/small`);
    let goOn = (): void => undefined;
    const goesOn = new Promise<null>((resolve) => {
      goOn = () => resolve(null);
    });
    const isStalled = met(proxy, 'PUT', goesOn);
    const asking = spawn(volumeTool, ['volume', 'commit', mounted], { cwd: '/', stdio: 'ignore' });
    const ended = once(asking, 'exit');
    await isStalled;
    asking.kill();
    expect(await ended).toEqual([null, 'SIGTERM']);
    expect((await volumes.head(volume))?.root).toMatchObject({ files: 1 });
    expect(await run('/', `cat ${mounted}/small`)).toBe('small\n');
    goOn();
    // It is made after that commit, and refuses where there are changes left.
    await daemon.mount('m1').reload(false);
    expect((await volumes.head(volume))?.root).toMatchObject({ files: 2 });
  });
});
