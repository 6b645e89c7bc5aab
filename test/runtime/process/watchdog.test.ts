import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import { createLmdbStore } from '../../../src/adapters/embedded/lmdb-store.js';
import { systemClock } from '../../../src/adapters/system/clock.js';
import type { BootId, WorkerId } from '../../../src/common/ids.js';
import type { Store } from '../../../src/common/ports/store.js';
import type { Watchdog } from '../../../src/common/ports/watchdog.js';
import { removeCgroups } from '../../../src/runtime/process/cgroup-tree.js';
import { openCgroups } from '../../../src/runtime/process/cgroups.js';
import { startWatchdog } from '../../../src/runtime/process/watchdog.js';
import { goneProcess, isRunning } from './foreign-process.js';

const entry = fileURLToPath(new URL('../../../dist/cli/watchdog-main.js', import.meta.url));
const blocked = 'for (;;) {}';
const leaseTtlMs = 60_000;

let boots = 0;
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

interface Boot {
  readonly bootId: BootId;
  readonly path: string;
  readonly store: Store;
}

async function newBoot(): Promise<Boot> {
  const path = await mkdtemp(join(tmpdir(), 'holdfast-watchdog-'));
  const store = createLmdbStore({ path, clock: systemClock });
  cleanups.push(async () => {
    await store.close();
    await rm(path, { recursive: true, force: true });
  });
  boots += 1;
  const bootId = `boot-${process.pid}-${boots}` as BootId;
  const lease = { bootId, workerId: 'w1' as WorkerId, account: 'default', address: '127.0.0.1:1' };
  await store.leases.create(lease, leaseTtlMs);
  return { bootId, path, store };
}

async function watch(
  boot: Boot,
  more: {
    readonly deadlineInMs?: number;
    readonly storePath?: string;
    readonly ttlMs?: number;
    readonly folders?: readonly string[];
  } = {},
): Promise<Watchdog> {
  const watchdog = await startWatchdog({
    entry,
    bootId: boot.bootId,
    store: { kind: 'lmdb', path: more.storePath ?? boot.path },
    deadline: systemClock.monotonic() + (more.deadlineInMs ?? 60_000),
    leaseTtlMs: more.ttlMs ?? leaseTtlMs,
    cgroupParents: [],
    folders: more.folders ?? [],
    env: { PATH: process.env['PATH'] ?? '' },
    clock: systemClock,
  });
  cleanups.push(() => watchdog.stop());
  return watchdog;
}

/** Its own process group, as containers are. */
function run(script: string): ChildProcess & { readonly pid: number } {
  const child = spawn(process.execPath, ['-e', script], { detached: true, stdio: ['ignore', 'pipe', 'ignore'] });
  cleanups.push(() => child.kill('SIGKILL'));
  return child as ChildProcess & { readonly pid: number };
}

test('a clean stop releases the lease and ends the process', async () => {
  const boot = await newBoot();
  const watchdog = await watch(boot);
  await watchdog.stop();
  await watchdog.died;
  expect(await boot.store.leases.read(boot.bootId)).toEqual({ phase: 'released' });
});

test('past the deadline a container whose code blocks is killed, and the lease is released after that', async () => {
  const boot = await newBoot();
  const watchdog = await watch(boot, { deadlineInMs: 3_000 });
  const container = run(blocked);
  const cgroups = openCgroups({ bootId: boot.bootId });
  cleanups.push(() => removeCgroups(cgroups.parents));
  const cgroup = cgroups.create('c1');
  cgroup.add(container.pid);
  await watchdog.guard({ containerId: 'c1', pid: container.pid, cgroups: cgroup.folders });
  expect((await boot.store.leases.read(boot.bootId)).phase).toBe('held');
  await watchdog.died;
  expect(isRunning(container.pid)).toBe(false);
  expect(await boot.store.leases.read(boot.bootId)).toEqual({ phase: 'released' });
  for (const folder of cgroup.folders) expect(existsSync(folder)).toBe(false);
});

test('a renewal moves the deadline: another boot that is not renewed dies first', async () => {
  const boot = await newBoot();
  const renewed = await watch(boot, { deadlineInMs: 3_000 });
  const container = run(blocked);
  await renewed.guard({ containerId: 'c1', pid: container.pid, cgroups: [] });
  renewed.extend(systemClock.monotonic() + 60_000);
  const other = await newBoot();
  const lapsed = await watch(other, { deadlineInMs: 3_000 });
  await lapsed.died;
  expect(isRunning(container.pid)).toBe(true);
});

test('without cgroups the whole process group goes, children of the container included', async () => {
  const boot = await newBoot();
  const watchdog = await watch(boot);
  const container = run(
    `process.stdout.write(String(require('node:child_process').spawn('sleep', ['1000'], { stdio: 'ignore' }).pid));`,
  );
  const [grandchild] = (await once(container.stdout as NodeJS.ReadableStream, 'data')) as [Buffer];
  await watchdog.guard({ containerId: 'c1', pid: container.pid, cgroups: [] });
  await watchdog.stop();
  expect(isRunning(container.pid)).toBe(false);
  expect(isRunning(Number(grandchild))).toBe(false);
});

test('a container that was released is left alone', async () => {
  const boot = await newBoot();
  const watchdog = await watch(boot);
  const container = run(blocked);
  await watchdog.guard({ containerId: 'c1', pid: container.pid, cgroups: [] });
  watchdog.release('c1');
  await watchdog.stop();
  expect(isRunning(container.pid)).toBe(true);
});

test('when the worker is killed, with all of its process group, its containers die and the lease is released', async () => {
  const boot = await newBoot();
  const script = fileURLToPath(new URL('./fixtures/worker.mjs', import.meta.url));
  const worker = spawn(process.execPath, [script, boot.path, boot.bootId], {
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  cleanups.push(() => worker.kill('SIGKILL'));
  const [line] = (await once(createInterface(worker.stdout), 'line')) as [string];
  const pids = JSON.parse(line) as { container: number; watchdog: number; parents: string[] };
  expect([isRunning(pids.container), isRunning(pids.watchdog)]).toEqual([true, true]);
  process.kill(-(worker.pid as number), 'SIGKILL');
  await goneProcess(pids.watchdog);
  expect(isRunning(pids.container)).toBe(false);
  expect(await boot.store.leases.read(boot.bootId)).toEqual({ phase: 'released' });
  for (const folder of pids.parents) expect(existsSync(folder)).toBe(false);
});

test('a watchdog that is killed is missed at once, and guards nothing any more', async () => {
  const boot = await newBoot();
  const before = await childrenOfThis();
  const watchdog = await watch(boot);
  const [pid] = (await childrenOfThis()).filter((child) => !before.includes(child));
  process.kill(pid as number, 'SIGKILL');
  await watchdog.died;
  await expect(watchdog.guard({ containerId: 'c1', pid: process.pid, cgroups: [] })).rejects.toMatchObject({
    code: 'Unavailable',
  });
  expect((await boot.store.leases.read(boot.bootId)).phase).toBe('held');
});

test('SIGTERM and SIGINT, as a supervisor sends them to all of a service, do not end it', async () => {
  const boot = await newBoot();
  const before = await childrenOfThis();
  const watchdog = await watch(boot);
  const [pid] = (await childrenOfThis()).filter((child) => !before.includes(child));
  process.kill(pid as number, 'SIGTERM');
  process.kill(pid as number, 'SIGINT');
  const container = run(blocked);
  await watchdog.guard({ containerId: 'c1', pid: container.pid, cgroups: [] });
  expect(isRunning(pid as number)).toBe(true);
});

test('with a store that cannot be reached it ends when the lease has run out by itself', async () => {
  const boot = await newBoot();
  const watchdog = await watch(boot, { storePath: '/dev/null/nowhere', ttlMs: 100 });
  await watchdog.stop();
  await watchdog.died;
});

test('an entry that does not come up is reported, not waited for', async () => {
  const boot = await newBoot();
  const starting = startWatchdog({
    entry: '/nonexistent/watchdog-main.js',
    bootId: boot.bootId,
    store: null,
    deadline: systemClock.monotonic() + 60_000,
    leaseTtlMs,
    cgroupParents: [],
    env: {},
    clock: systemClock,
  });
  await expect(starting).rejects.toMatchObject({ code: 'Unavailable' });
});

async function childrenOfThis(): Promise<number[]> {
  const { readFile } = await import('node:fs/promises');
  const text = await readFile(`/proc/${process.pid}/task/${process.pid}/children`, 'utf8');
  return text.trim().split(' ').filter(Boolean).map(Number);
}

test('what a watchdog that was killed would have removed is removed by its worker', async () => {
  const boot = await newBoot();
  const folder = join(boot.path, 'boot');
  await mkdir(folder);
  await writeFile(join(folder, 'disk'), 'x');
  const before = await childrenOfThis();
  const watchdog = await watch(boot, { folders: [folder] });
  const [pid] = (await childrenOfThis()).filter((child) => !before.includes(child));
  process.kill(pid as number, 'SIGKILL');
  await watchdog.died;
  expect(existsSync(folder)).toBe(true);
  await watchdog.stop();
  expect(existsSync(folder)).toBe(false);
});
