import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { afterEach, beforeAll, expect } from 'vitest';
import { createDiskObjectStore } from '../../../src/adapters/disk/disk-object-store.js';
import { systemClock, systemRandom } from '../../../src/adapters/system/clock.js';
import { isHoldfastError } from '../../../src/common/errors.js';
import { ImageStore } from '../../../src/common/images/image-store.js';
import type { ContainerProcess } from '../../../src/common/ports/container.js';
import { Images } from '../../../src/runtime/images/images.js';
import { createIsolatedStarter } from '../../../src/runtime/isolation/isolated-starter.js';
import { openOutboundSocket } from '../../../src/runtime/isolation/outbound-socket.js';
import { OutboundProxies } from '../../../src/runtime/outbound/outbound-proxy.js';
import { RefusedAddresses } from '../../../src/runtime/outbound/refused-addresses.js';
import { canIsolate, isolatedTest } from '../../isolated-test.js';
import { ports, startNeighbour } from '../outbound/neighbour.js';
import { ContainerDriver } from '../process/container-driver.js';
import { openBench } from './harness.js';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const bench = await openBench();
const neighbour = canIsolate ? await startNeighbour() : { address: '', own: '' };
const bundleFolder = join(bench.folder, 'bundles');
const methods = ['get', 'echo', 'add', 'environment', 'family', 'eat', 'print'];
const bundle = { bundlePath: join(bundleFolder, 'thing.mjs'), bundleSha256: '' };
const proxies = new OutboundProxies({
  clock: systemClock,
  refused: new RefusedAddresses(systemClock, () => []),
});
const cleanups: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  await mkdir(bundleFolder);
  const entryPoints = [here('../process/fixtures/thing-bundle.ts')];
  const target = { bundle: true, platform: 'node', format: 'esm', target: 'node20' } as const;
  await build({ entryPoints, outfile: bundle.bundlePath, ...target });
  bundle.bundleSha256 = createHash('sha256')
    .update(await readFile(bundle.bundlePath))
    .digest('hex');
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

async function start(
  memoryMb: number,
  entry = here('../process/fixtures/container.mjs'),
): Promise<{ container: ContainerProcess; driver: ContainerDriver }> {
  const folders = [here('../../../dist'), here('../../../node_modules'), here('../process/fixtures'), bundleFolder];
  const starter = createIsolatedStarter({
    backend: bench.backend,
    entry,
    binds: folders.map((source) => ({ source, target: source })),
    imageBinds: [],
    images: new Images({
      backend: bench.backend,
      store: new ImageStore({
        objects: createDiskObjectStore({ folder: join(bench.folder, 'objects') }),
        account: 'ann',
        clock: systemClock,
        random: systemRandom,
      }),
      folder: join(bench.folder, 'layers'),
      maxBytes: 1,
      clock: systemClock,
    }),
    bundleFolder,
    mountVolumes: async () => ({
      binds: [],
      lost: new Promise(() => undefined),
      detach: () => Promise.resolve(null),
    }),
    openOutbound: (id) => openOutboundSocket(proxies.open('all'), { folder: join(bench.folder, 'sockets'), id }),
    env: { PATH: '/usr/bin:/bin', GIVEN: 'yes' },
    clock: systemClock,
    random: systemRandom,
  });
  const container = await starter.start(memoryMb);
  const driver = new ContainerDriver(container.channel);
  cleanups.push(async () => {
    container.kill();
    await container.exited;
  });
  container.limit({ memoryMb, cpu: 1 });
  await driver.load({ ...bundle, methods, env: { LOADED: 'too' } });
  await driver.activate(1);
  return { container, driver };
}

isolatedTest('a class runs behind the walls of a sandbox, with nothing of its worker around it', async () => {
  const { container, driver } = await start(256);
  expect(await driver.call('add', [2])).toBe(2);
  const env = (await driver.call('environment', [])) as Record<string, string>;
  expect(Object.keys(env).sort()).toEqual(['GIVEN', 'HOME', 'LOADED', 'PATH', 'PWD']);
  const status = await readFile(`/proc/${container.pid}/status`, 'utf8');
  expect(status).toMatch(/^NoNewPrivs:\t1$/m);
});

isolatedTest('code of a class connects to other hosts as ever, and to none that it may not reach', async () => {
  const { driver } = await start(256);
  const { address, own } = neighbour;
  const answer = JSON.parse((await driver.call('get', [`http://${address}:${ports.http}/path`])) as string);
  expect(answer).toMatchObject({ method: 'GET', url: '/path', headers: { host: `${address}:${ports.http}` } });
  const echoed = await Promise.all(Array.from({ length: 20 }, () => driver.call('echo', [address, ports.echo])));
  expect(new Set(echoed)).toEqual(new Set(['to the other side']));
  expect(await driver.call('echo', [own, ports.echo])).toBe('EACCES');
  expect(await driver.call('echo', ['169.254.169.254', 80])).toBe('EACCES');
  expect(await driver.call('echo', [address, 1])).toBe('EHOSTUNREACH');
  expect(await driver.call('echo', ['127.0.0.1', 1])).toBe('ECONNREFUSED');
});

isolatedTest('a class that takes more memory than it may is told apart from one that crashed', async () => {
  const { container, driver } = await start(160);
  driver.call('eat', [400]).catch(() => undefined); // its container dies
  expect(await container.exited).toMatchObject({ signal: 'SIGKILL', outOfMemory: true });
});

isolatedTest('killed, it leaves no process, no cgroup and no disk', async () => {
  const { container } = await start(256);
  const folders = bench.cgroupsOf(container.id);
  expect(folders).not.toEqual([]);
  container.kill();
  await container.exited;
  await expect.poll(() => folders.some(existsSync)).toBe(false);
});

isolatedTest('one that does not come up says why, and leaves nothing', async () => {
  await expect(start(256, '/no/such/entry.js')).rejects.toSatisfy(
    (error) => isHoldfastError(error, 'Unavailable') && error.message.includes('/no/such/entry.js'),
  );
});
