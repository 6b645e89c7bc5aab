import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createLmdbStore } from '../../../src/adapters/embedded/lmdb-store.js';
import { systemClock, systemRandom } from '../../../src/adapters/system/clock.js';
import type { BootId, WorkerId } from '../../../src/common/ids.js';
import type { ContainerProcess } from '../../../src/common/ports/container.js';
import type { Store } from '../../../src/common/ports/store.js';
import type { Watchdog } from '../../../src/common/ports/watchdog.js';
import { removeCgroups } from '../../../src/runtime/process/cgroup-tree.js';
import { type Cgroups, noCgroups, openCgroups } from '../../../src/runtime/process/cgroups.js';
import { createContainerStarter } from '../../../src/runtime/process/container-starter.js';
import { longestLine } from '../../../src/runtime/process/output-lines.js';
import { startWatchdog } from '../../../src/runtime/process/watchdog.js';
import { decodeBody } from '../../../src/wire/frames/frame-bodies.js';
import { readBody } from '../../../src/wire/frames/frame-reader.js';
import { CancelReason, ContainerDriver, FrameKind } from './container-driver.js';
import { isRunning } from './foreign-process.js';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const methods = [
  ...['add', 'size', 'big', 'count', 'untilAborted', 'environment', 'print', 'block', 'eat', 'eatSlowly'],
  ...['heapIsFull', 'family', 'crash', 'reject'],
];
const leaseTtlMs = 60_000;

let folder: string;
let bundle: { bundlePath: string; bundleSha256: string };
let store: Store;
let boots = 0;
const cleanups: (() => unknown)[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-container-'));
  bundle = await bundleOf('thing-bundle.ts');
  store = createLmdbStore({ path: join(folder, 'store'), clock: systemClock });
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});
afterAll(async () => {
  await store.close();
  await rm(folder, { recursive: true, force: true });
});

async function bundleOf(fixture: string): Promise<typeof bundle> {
  const bundlePath = join(folder, `${fixture}.mjs`);
  const entryPoints = [here(`./fixtures/${fixture}`)];
  await build({ entryPoints, outfile: bundlePath, bundle: true, platform: 'node', format: 'esm', target: 'node20' });
  return {
    bundlePath,
    bundleSha256: createHash('sha256')
      .update(await readFile(bundlePath))
      .digest('hex'),
  };
}

interface Boot {
  readonly bootId: BootId;
  readonly cgroups: Cgroups;
  readonly watchdog: Watchdog;
}

async function boot(options: { readonly cgroups?: Cgroups; readonly deadlineInMs?: number } = {}): Promise<Boot> {
  boots += 1;
  const bootId = `starter-${process.pid}-${boots}` as BootId;
  const cgroups = options.cgroups ?? openCgroups({ bootId });
  await store.leases.create({ bootId, workerId: 'w' as WorkerId, account: 'a', address: 'h:1' }, leaseTtlMs);
  const watchdog = await startWatchdog({
    entry: here('../../../dist/cli/watchdog-main.js'),
    bootId,
    store: { kind: 'lmdb', path: join(folder, 'store') },
    deadline: systemClock.monotonic() + (options.deadlineInMs ?? 60_000),
    leaseTtlMs,
    cgroupParents: cgroups.parents,
    env: { PATH: process.env['PATH'] ?? '' },
    clock: systemClock,
  });
  cleanups.push(async () => {
    await watchdog.stop();
    removeCgroups(cgroups.parents);
  });
  return { bootId, cgroups, watchdog };
}

interface Started {
  readonly container: ContainerProcess;
  readonly driver: ContainerDriver;
}

async function start(of: Boot, entry = here('./fixtures/container.mjs')): Promise<Started> {
  const starter = createContainerStarter({
    entry,
    cgroups: of.cgroups,
    watchdog: of.watchdog,
    clock: systemClock,
    random: systemRandom,
    hostEnv: { ...process.env, NODE_OPTIONS: '--max-old-space-size=4000', SECRET_OF_THE_WORKER: 'x', TZ: 'UTC' },
    env: { GIVEN: 'yes' },
  });
  const container = await starter.start(512);
  const driver = new ContainerDriver(container.channel);
  cleanups.push(async () => {
    container.kill();
    await container.exited;
  });
  return { container, driver };
}

async function active(of: Boot, memoryMb?: number): Promise<Started> {
  const started = await start(of);
  if (memoryMb !== undefined) started.container.limit({ memoryMb, cpu: 1 });
  await started.driver.load({ ...bundle, methods, env: { LOADED: 'too' } });
  await started.driver.activate(1);
  return started;
}

describe('a container process', () => {
  test('loads a bundle and runs methods, large ones in chunks, and generators until they are left', async () => {
    const { container, driver } = await active(await boot());
    expect(await driver.call('add', [2])).toBe(2);
    expect(await driver.call('add', [3])).toBe(5);
    expect(await driver.call('size', [new Uint8Array(5 * 1_048_576)])).toBe(5 * 1_048_576);
    const big = (await driver.call('big', [5 * 1_048_576])) as Uint8Array;
    expect(Buffer.compare(big, Buffer.alloc(5 * 1_048_576, 7))).toBe(0);
    const printed = nextLine(container, /left/);
    const ref = driver.begin('count', [], { generator: true });
    await driver.until(() => driver.values(ref).length >= 100);
    driver.cancel(ref, CancelReason.abandoned);
    await driver.next((seen) => seen.ref === ref && seen.kind === FrameKind.End);
    expect(await printed).toEqual({ stream: 'stdout', text: 'left the generator' });
  });

  test('aborts the signal of a call that is cancelled', async () => {
    const { driver } = await active(await boot());
    const ref = driver.begin('untilAborted', []);
    driver.cancel(ref, CancelReason.deadline);
    expect(await driver.errorOf(ref)).toMatchObject({ code: 'DeadlineExceeded' });
  });

  test('knows no variable of its worker but a few harmless ones', async () => {
    const { driver } = await active(await boot());
    const env = (await driver.call('environment')) as Record<string, string>;
    expect(env).toMatchObject({ GIVEN: 'yes', LOADED: 'too', TZ: 'UTC', PATH: process.env['PATH'] });
    const known = new Set(['GIVEN', 'LOADED', 'PATH', 'HOME', 'TZ', 'LANG', 'NODE_ENV']);
    expect(Object.keys(env).filter((name) => !known.has(name))).toEqual([]);
  });

  test('its stdout and stderr come as lines, overlong ones in pieces', async () => {
    const { container, driver } = await active(await boot());
    const lines: string[] = [];
    container.onOutput(({ stream, text }) => lines.push(`${stream} ${text.length}`));
    const last = nextLine(container, /^! second$/);
    await driver.call('print', ['x'.repeat(longestLine + 100)]);
    await driver.call('print', ['second']);
    await last;
    const of = (stream: string): string[] => lines.filter((line) => line.startsWith(stream));
    expect(of('stdout')).toEqual([`stdout ${longestLine}`, 'stdout 100', 'stdout 6']);
    expect(of('stderr')).toEqual([`stderr ${longestLine}`, 'stderr 102', 'stderr 8']);
  });

  test('ends when its worker closes the channel', async () => {
    const { container } = await active(await boot());
    container.channel.close();
    expect(await container.exited).toEqual({ exitCode: 0, signal: null, outOfMemory: false });
  });

  test('ignores SIGTERM: only its worker ends it', async () => {
    const { container, driver } = await active(await boot());
    process.kill(container.pid as number, 'SIGTERM');
    expect(await driver.call('add', [1])).toBe(1);
  });

  test.each([
    ['crash', 'nobody catches this'],
    ['reject', 'nobody awaits this'],
  ])('%s: an error that nobody handles is logged and ends it with code 1', async (method, message) => {
    const { container, driver } = await active(await boot());
    driver.begin(method, []);
    expect(await container.exited).toEqual({ exitCode: 1, signal: null, outOfMemory: false });
    const line = await driver.next((seen) => seen.kind === FrameKind.Log);
    expect([line.slot, decodeBody(readBody(line.frame))]).toEqual([
      1,
      expect.objectContaining({ level: 'error', fields: { error: expect.objectContaining({ message }) } }),
    ]);
  });
});

test('the real entry loads a decorated class, found by its app and name in the SDK of the container', async () => {
  const { container, driver } = await start(await boot(), here('../../../dist/cli/container-main.js'));
  const facts = { className: 'Greeter', methods: ['greet'], enterHooks: ['load'], exitHooks: ['unload'] };
  await driver.load({ ...(await bundleOf('decorated-bundle.ts')), ...facts });
  await driver.activate(1, ['you'], { epoch: 42 });
  expect(await driver.call('greet')).toBe('hello you, epoch 42');
  const left = nextLine(container, /left/);
  expect(await driver.deactivate(1, { reason: 'drain', timeoutMs: 5_000 })).toEqual({ exitHook: 'ran' });
  expect(await left).toEqual({ stream: 'stdout', text: 'left: drain' });
});

describe('killing', () => {
  test('takes all that the container has started, and its cgroups', async () => {
    const of = await boot();
    const { container, driver } = await active(of);
    const grandchild = (await driver.call('family')) as number;
    expect(isRunning(grandchild)).toBe(true);
    container.kill();
    expect(await container.exited).toEqual({ exitCode: null, signal: 'SIGKILL', outOfMemory: false });
    // Detached from the process group: only a cgroup finds it.
    if (of.cgroups.version !== 'none') expect(isRunning(grandchild)).toBe(false);
    else process.kill(grandchild, 'SIGKILL');
    await of.watchdog.stop();
    for (const parent of of.cgroups.parents) expect(existsSync(parent)).toBe(false);
  });

  test('works on code that blocks, without cgroups too', async () => {
    const { container, driver } = await active(await boot({ cgroups: noCgroups }));
    driver.begin('block', []);
    container.kill();
    expect(await container.exited).toMatchObject({ signal: 'SIGKILL', outOfMemory: false });
  });

  test('is done by the watchdog when the deadline passes while the code blocks', async () => {
    const of = await boot({ deadlineInMs: 1_500 });
    const { container, driver } = await active(of);
    driver.begin('block', []);
    expect(await container.exited).toMatchObject({ signal: 'SIGKILL', outOfMemory: false });
    await of.watchdog.died;
    expect(await store.leases.read(of.bootId)).toEqual({ phase: 'released' });
  });
});

describe('memory', () => {
  const host = openCgroups({ bootId: `probe-${process.pid}` });
  removeCgroups(host.parents);

  (host.limitsMemory ? test : test.skip)(
    'over the limit of its cgroup it is killed and reported as out of memory',
    async () => {
      const { container, driver } = await active(await boot(), 128);
      driver.begin('eat', [1_000]);
      expect(await container.exited).toEqual({ exitCode: null, signal: 'SIGKILL', outOfMemory: true });
    },
  );

  (host.version === 'v1' && host.limitsMemory ? test : test.skip)(
    'a limit below what an idle container takes is refused with what to do',
    async () => {
      const { container } = await start(await boot());
      expect(() => container.limit({ memoryMb: 4, cpu: 1 })).toThrow(
        expect.objectContaining({ code: 'OutOfMemory', message: expect.stringContaining('memoryMb of 4') }),
      );
    },
  );

  test('without cgroups it is watched, killed and reported all the same', async () => {
    const { container, driver } = await active(await boot({ cgroups: noCgroups }), 160);
    driver.begin('eatSlowly', []);
    expect(await container.exited).toEqual({ exitCode: null, signal: 'SIGKILL', outOfMemory: true });
  });

  test('an abort of V8 because its heap is full is out of memory', async () => {
    const { container, driver } = await active(await boot());
    driver.begin('heapIsFull', []);
    expect(await container.exited).toEqual({ exitCode: null, signal: 'SIGABRT', outOfMemory: true });
  });
});

describe('starting', () => {
  test('an entry that fails is reported with what it said, and leaves nothing', async () => {
    const of = await boot();
    await expect(start(of, '/nonexistent/container-main.js')).rejects.toMatchObject({
      code: 'Unavailable',
      message: expect.stringContaining('Cannot find module'),
    });
    await of.watchdog.stop();
    for (const parent of of.cgroups.parents) expect(existsSync(parent)).toBe(false);
  });

  test('without a watchdog no container is handed over', async () => {
    const of = await boot();
    await of.watchdog.stop();
    await expect(start(of)).rejects.toMatchObject({ code: 'Unavailable' });
  });
});

function nextLine(container: ContainerProcess, wanted: RegExp): Promise<{ stream: string; text: string }> {
  return new Promise((resolve) => {
    container.onOutput((line) => {
      if (wanted.test(line.text)) resolve(line);
    });
  });
}
