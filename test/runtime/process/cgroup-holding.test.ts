import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { HoldingGroups } from '../../../src/runtime/process/cgroup-holding.js';
import { killCgroups, removeCgroups } from '../../../src/runtime/process/cgroup-tree.js';
import { type Cgroup, openCgroups } from '../../../src/runtime/process/cgroups.js';

const host = openCgroups({ bootId: `holding-${process.pid}` });
removeCgroups(host.parents);
const describeV1 = host.version === 'v1' && host.limitsPids ? describe : describe.skip;

const cleanups: (() => unknown)[] = [];
let boots = 0;
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A shell in the group, which starts what it reads, one line each. */
async function shellIn(group: Cgroup): Promise<ChildProcess> {
  const child = spawn('sh', ['-c', 'echo on; while read line; do eval "$line"; done'], {
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  cleanups.push(async () => {
    group.kill();
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    await vi.waitUntil(() => group.remove(), { timeout: 10_000 });
  });
  await once(child.stdout as NodeJS.ReadableStream, 'data');
  group.add(child.pid as number);
  return child;
}

function open(): Cgroup {
  const cgroups = openCgroups({ bootId: `holding-${process.pid}-${boots}` });
  boots += 1;
  cleanups.push(() => removeCgroups(cgroups.parents));
  const group = cgroups.create('stormy', 'yielding');
  group.limit({ memoryMb: 64, cpu: 1, pids: 20 });
  return group;
}

/** Number of the group below, and its quota in µs of 100 ms, or -1. */
function quotas(group: Cgroup): Record<string, string> {
  const folder = group.folders.find((each) => existsSync(join(each, 'cpu.shares'))) as string;
  const below = readdirSync(folder).filter((name) => /^\d+$/.test(name));
  return Object.fromEntries(below.map((name) => [name, text(join(folder, name, 'cpu.cfs_quota_us'))]));
}

function cpuGroupOf(pid: number): string {
  return basename(/:cpu:(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, 'utf8'))?.[1] ?? '');
}

const text = (file: string): string => readFileSync(file, 'utf8').trim();

describeV1('processes that are held back (v1)', () => {
  test('are those of before and what they start; who is free goes on to another group, with what it starts', async () => {
    const group = open();
    const [free, held] = [await shellIn(group), await shellIn(group)];
    expect([free, held].map(({ pid }) => cpuGroupOf(pid as number))).toEqual(['1', '1']);
    await group.forks?.holdBack(0.02, [free.pid as number]);
    expect(quotas(group)).toEqual({ 1: '2000', 2: '-1' });
    for (const [shell, expected] of [
      [free, '2'],
      [held, '1'],
    ] as const) {
      shell.stdin?.write('sleep 1000 & echo $!\n');
      const [said] = (await once(shell.stdout as NodeJS.ReadableStream, 'data')) as [Buffer];
      expect(cpuGroupOf(Number(said.toString()))).toBe(expected);
    }
    expect(group.forks?.isHeldBack).toBe(true);
    group.forks?.letGo();
    expect(quotas(group)).toEqual({ 1: '-1', 2: '-1' });
    expect(group.forks?.isHeldBack).toBe(false);
  });

  test('of a second storm are held back as well, and groups that have ended are gone', async () => {
    const group = open();
    const [free, held] = [await shellIn(group), await shellIn(group)];
    const pids = [free.pid as number];
    await group.forks?.holdBack(0.02, pids);
    await group.forks?.holdBack(0.02, pids);
    expect(quotas(group)).toEqual({ 1: '2000', 2: '-1' }); // nobody else was there to be left behind
    free.stdin?.write('sleep 1000 & echo $!\n');
    await once(free.stdout as NodeJS.ReadableStream, 'data');
    await group.forks?.holdBack(0.02, pids);
    expect(quotas(group)).toEqual({ 1: '2000', 2: '2000', 3: '-1' });
    held.kill('SIGKILL');
    await once(held, 'exit');
    free.stdin?.write('sleep 1000 & echo $!\n');
    await once(free.stdout as NodeJS.ReadableStream, 'data');
    await group.forks?.holdBack(0.05, pids);
    expect(quotas(group)).toEqual({ 2: '5000', 3: '5000', 4: '-1' });
  });

  test('are free where they are let go while they are being held back', async () => {
    const group = open();
    const [free] = [await shellIn(group), await shellIn(group)];
    const holding = group.forks?.holdBack(0.02, [free.pid as number]);
    group.forks?.letGo();
    await holding;
    expect(group.forks?.isHeldBack).toBe(false);
    expect(quotas(group)).toEqual({ 1: '-1', 2: '-1' });
  });

  test('are not said to be held back where that has failed, and are so at the next try', async () => {
    const group = open();
    const [free] = [await shellIn(group), await shellIn(group)];
    await expect(group.forks?.holdBack(0.02, [free.pid as number, -7])).rejects.toThrow();
    expect([group.forks?.isHeldBack, quotas(group)]).toEqual([false, { 1: '-1', 2: '-1' }]);
    await group.forks?.holdBack(0.02, [free.pid as number]);
    expect([group.forks?.isHeldBack, quotas(group)]).toEqual([true, { 1: '2000', 2: '-1' }]);
  });

  test('are counted, with what they were refused', async () => {
    const group = open();
    const shell = await shellIn(group);
    expect([group.forks?.count(), group.forks?.refused()]).toEqual([1, 0]);
    shell.stdin?.write('for i in 1 2 3; do sleep 1000 & done; echo $!\n');
    await once(shell.stdout as NodeJS.ReadableStream, 'data');
    expect(group.forks?.count()).toBe(4);
    shell.stdin?.write('i=0; while [ $i -lt 30 ]; do sleep 1000 & i=$((i+1)); done\n');
    await once(shell, 'exit'); // a shell that is refused one ends
    expect(group.forks?.refused()).toBeGreaterThan(0);
  });

  test('die at once when all of it is killed', async () => {
    const group = open();
    const shell = await shellIn(group);
    await group.forks?.holdBack(0.02, []);
    expect(quotas(group)).toMatchObject({ 1: '2000' });
    killCgroups(group.folders.map((folder) => dirname(folder))); // of all the boot, as its successor does
    expect(quotas(group)).toMatchObject({ 1: '-1' });
    await once(shell, 'exit');
  });
});

test('what is not said to yield is never held back', () => {
  cleanups.push(() => removeCgroups(cgroups.parents));
  const cgroups = openCgroups({ bootId: `holding-${process.pid}-none` });
  const group = cgroups.create('usual');
  expect(group.forks).toBeNull();
  expect(group.entries).toEqual(group.folders);
  group.remove();
});

describe('a v2 group with its files in a folder', () => {
  test('hands processors down while it is empty, and limits what is held back below it', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'holdfast-holding-'));
    cleanups.push(() => rmSync(folder, { recursive: true }));
    const own = join(folder, 'pod');
    mkdirSync(own);
    writeFileSync(join(folder, 'membership'), '0::/pod\n');
    for (const each of [folder, own]) writeFileSync(join(each, 'cgroup.controllers'), 'cpu memory pids');
    const cgroups = openCgroups({ bootId: 'b', root: folder, membership: join(folder, 'membership') });
    const group = cgroups.create('stormy', 'yielding');
    const [top, entry] = [group.folders[0] as string, group.entries[0] as string];
    expect(entry).toBe(join(top, '1'));
    expect(group.forks).toBeInstanceOf(HoldingGroups);
    expect(text(join(top, 'cgroup.subtree_control'))).toBe('+cpu');
    writeFileSync(join(entry, 'cgroup.procs'), '11\n12\n');
    await group.forks?.holdBack(0.02, [11]);
    expect(text(join(top, '2/cgroup.procs'))).toBe('11');
    expect(text(join(entry, 'cpu.max'))).toBe('2000 100000');
    writeFileSync(join(top, 'pids.events'), 'max 17\n');
    writeFileSync(join(top, 'pids.current'), '20\n');
    expect([group.forks?.count(), group.forks?.refused()]).toEqual([20, 17]);
    group.forks?.letGo();
    expect(text(join(entry, 'cpu.max'))).toBe('max 100000');
  });
});
