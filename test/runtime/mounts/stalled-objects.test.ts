import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { openS3ObjectStore } from '../../../src/adapters/s3/s3-object-store.js';
import { systemClock } from '../../../src/adapters/system/clock.js';
import { MountDaemon } from '../../../src/runtime/mounts/mount-daemon.js';
import { isolatedTest } from '../../isolated-test.js';
import { account, VolumeWorld } from '../../router/volumes/volume-world.js';
import { type S3Fault, S3FaultProxy } from '../../s3/fault-proxy.js';
import { startS3 } from '../../servers.js';
import { launcher } from '../isolation/harness.js';
import { run } from './mount-world.js';

const credentials = { accessKeyId: 'AKIDTEST', secretAccessKey: 'secret/test+key' };
const chunkThread = new URL('../../../dist/runtime/mounts/content/chunk-thread-main.js', import.meta.url);

isolatedTest(
  'who reads a volume whose object store stalls gets an error after one request, and goes on later',
  async () => {
    await using s3 = await startS3();
    await using proxy = await S3FaultProxy.start(s3.url);
    let stalled = (): void => undefined;
    let late = (): void => undefined;
    let passedMs = 0;
    // The deadline of a request comes when this test says so, and then its time has passed.
    const after: typeof systemClock.after = (ms, task) => {
      late = () => {
        passedMs += ms;
        task();
      };
      return { cancel: () => undefined };
    };
    const clock = { ...systemClock, monotonic: () => systemClock.monotonic() + passedMs };
    const url = `s3://${s3.bucket}?endpoint=${proxy.endpoint}`;
    const objects = await openS3ObjectStore({ url, clock: { ...clock, after }, credentials });
    const folder = await mkdtemp(join(tmpdir(), 'holdfast-stalled-'));
    await using volumes = await VolumeWorld.start();
    const parts = volumes.parts({ objects });
    const volume = await volumes.volume();
    await volumes.commit(volume, { a: Buffer.alloc(100_000, 'a') }, { parts });
    const { store } = volumes;
    const log = (): void => undefined;
    const daemon = await MountDaemon.start({
      ...{ store, objects, clock, launcher, folder, cacheBytes: 1e9, chunkThread, log },
    });
    const mounted = await daemon.attach({
      ...{ name: 'm1', account, volume: volume.name, uid: 0, whenMissing: null, isReadOnly: true, isPrivate: false },
      ...{ commitsByItself: false, owner: 'o', maxLocalBytes: 1e9 },
    });
    try {
      for (const fault of ['stall', 'stall-midway'] as const satisfies S3Fault[]) {
        const isStalled = new Promise<void>((resolve) => {
          stalled = resolve;
        });
        proxy.fault = ({ method }) => {
          if (method === 'GET') setImmediate(stalled);
          return method === 'GET' ? fault : null;
        };
        // Not from its folder: who starts a program waits until that is in it.
        const said = run('/', `cat ${mounted}/a 2>&1 > /dev/null || true`);
        await isStalled;
        late();
        expect(await said).toContain('Input/output error');
      }
      proxy.fault = () => null;
      expect(await run('/', `tr -d a < ${mounted}/a | wc -c; wc -c < ${mounted}/a`)).toBe('0\n100000\n');
    } finally {
      await daemon.stop();
      await rm(folder, { recursive: true, force: true });
    }
  },
);
