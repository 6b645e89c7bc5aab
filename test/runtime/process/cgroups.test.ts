import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { yieldingFolder } from '../../../src/runtime/process/boot-folder.js';
import { areCgroupsEmpty, killCgroups, removeCgroups } from '../../../src/runtime/process/cgroup-tree.js';
import { weigh } from '../../../src/runtime/process/cgroup-yielding.js';
import {
  type Cgroup,
  type Cgroups,
  noCgroups,
  openCgroups,
  type YieldingGroup,
} from '../../../src/runtime/process/cgroups.js';
import { goneProcess } from './foreign-process.js';

const host = openCgroups({ bootId: `probe-${process.pid}` });
removeCgroups(host.parents);
const describeV1 = host.version === 'v1' && host.limitsMemory ? describe : describe.skip;
const unified = '/sys/fs/cgroup/unified';
const canKillAtOnce = existsSync(join(unified, 'cgroup.procs')) && isWritable(unified);

/** Not everybody may make cgroups; a worker then goes without. */
function isWritable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

function open(root?: string): Cgroups {
  const bootId = `test-${process.pid}-${cleanups.length}`;
  const cgroups = openCgroups(root === undefined ? { bootId } : { bootId, root, membership: join(root, 'membership') });
  cleanups.push(() => removeCgroups(cgroups.parents));
  return cgroups;
}

/** A group of the test's own: what yields is shared by all workers of a host, others of which may run now. */
function apart(): { readonly base: string; readonly membership: string } {
  const own = `holdfast-test-${process.pid}-${cleanups.length}`;
  const bases = ['/sys/fs/cgroup/cpu', unified].filter((tree) => existsSync(tree)).map((tree) => join(tree, own));
  for (const base of bases) mkdirSync(base);
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-cgroups-'));
  const membership = join(folder, 'membership');
  writeFileSync(membership, `1:cpu:/${own}\n0::/${own}\n`);
  cleanups.push(
    () => rmSync(folder, { recursive: true }),
    () => removeCgroups(bases),
  );
  return { base: join('/sys/fs/cgroup/cpu', own), membership };
}

function openApart(): { readonly cgroups: Cgroups; readonly base: string } {
  const { base, membership } = apart();
  const cgroups = openCgroups({ bootId: `apart-${process.pid}`, membership });
  cleanups.push(() => removeCgroups(cgroups.parents));
  return { cgroups, base };
}

function run(script: string): ChildProcess {
  const child = spawn(process.execPath, ['-e', script], { stdio: ['pipe', 'pipe', 'ignore'] });
  cleanups.push(() => child.kill('SIGKILL'));
  return child;
}

async function ended(child: ChildProcess): Promise<NodeJS.Signals | number | null> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  return child.signalCode ?? child.exitCode;
}

describeV1('cgroups of this host (v1)', () => {
  test('a process over its memory limit is killed by the kernel, and the group says so', async () => {
    const group = open().create('eater');
    group.limit({ memoryMb: 64, cpu: 1, pids: 100 });
    const child = run(
      `process.stdin.once('data', () => { const kept = []; for (;;) kept.push(Buffer.alloc(1 << 20, 1)); })`,
    );
    group.add(child.pid as number);
    expect(group.oomKills()).toBe(0);
    child.stdin?.write('go');
    expect(await ended(child)).toBe('SIGKILL');
    expect(group.oomKills()).toBeGreaterThan(0);
    expect(group.isEmpty()).toBe(true);
    expect(group.remove()).toBe(true);
    for (const folder of group.folders) expect(existsSync(folder)).toBe(false);
  });

  test('the limits of cpu, memory and processes stand in the files of the kernel', () => {
    const group = open().create('limited');
    group.limit({ memoryMb: 128, cpu: 0.5, pids: 77 });
    const read = (file: string) =>
      group.folders
        .map((folder) => join(folder, file))
        .filter(existsSync)
        .map((path) => readFileSync(path, 'utf8').trim());
    expect(read('memory.limit_in_bytes')).toEqual([String(128 * 1_048_576)]);
    expect(read('cpu.cfs_quota_us')).toEqual(['50000']);
    expect(read('pids.max')).toEqual(['77']);
  });

  test('what yields has a share of its own, far below that of others', () => {
    const { cgroups } = openApart();
    const [usual, yielding] = [cgroups.create('usual'), cgroups.create('gives-way', 'yielding')];
    yielding.limit({ memoryMb: 64, cpu: 1, pids: 10 });
    const ofCpu = (group: Cgroup) => group.folders.find((folder) => existsSync(join(folder, 'cpu.shares'))) as string;
    const sharesAbove = (folder: string) => readFileSync(join(folder, '../../../cpu.shares'), 'utf8').trim();
    expect(ofCpu(yielding)).toContain('/holdfast-yielding/holdfast/');
    expect(sharesAbove(ofCpu(yielding))).toBe('512');
    expect(ofCpu(usual)).not.toContain('yielding');
    expect(cgroups.parents).toContain(dirname(ofCpu(yielding)));
  });

  test('what yields gives way to all others while it is told to, and has its share after that, also of a worker that starts meanwhile', async () => {
    const child = run("process.stdin.once('data', () => { for (;;); })");
    const { cgroups, base } = openApart();
    const yielding = cgroups.yielding as YieldingGroup;
    const state = () =>
      ['cpu.idle', 'cpu.shares'].map((file) => readFileSync(join(base, yieldingFolder, file), 'utf8').trim());
    cgroups.create('busy', 'yielding').add(child.pid as number);
    const before = yielding.usedMs();
    child.stdin?.write('go');
    while (yielding.usedMs() < before + 50) await delay(10);
    yielding.giveWay(true);
    expect(state()[0]).toBe('1');
    yielding.giveWay(false);
    expect(state()).toEqual(['0', '512']);
    yielding.giveWay(true);
    weigh(join(base, yieldingFolder), { file: 'cpu.shares', value: 512 });
    expect(state()).toEqual(['0', '512']);
    child.kill('SIGKILL');
    await ended(child);
  });

  test('what workers share is made again where somebody removes it while a worker starts', async () => {
    const { base, membership } = apart();
    const remover = run(
      `const { readdirSync, rmdirSync } = require('node:fs');
       const remove = (folder) => {
         try {
           for (const { name } of readdirSync(folder, { withFileTypes: true }).filter((each) => each.isDirectory())) remove(folder + '/' + name);
           rmdirSync(folder);
         } catch {}
       };
       process.stdout.write('ready');
       for (;;) remove('${base}/holdfast-yielding');`,
    );
    await once(remover.stdout as NodeJS.ReadableStream, 'data');
    for (let i = 0; i < 2_000; i += 1) {
      const { parents } = openCgroups({ bootId: `raced-${process.pid}`, membership });
      removeCgroups(parents.filter((parent) => !parent.startsWith(base)));
    }
    remover.kill('SIGKILL');
    await ended(remover);
    openCgroups({ bootId: `raced-${process.pid}`, membership });
    expect(readFileSync(join(base, 'holdfast-yielding/cpu.shares'), 'utf8').trim()).toBe('512');
  });

  test('kill ends what was forked into the group too, and a group in use is not removed', async () => {
    const group = open().create('family');
    const child = run(
      `const { spawn } = require('node:child_process');
       process.stdin.once('data', () => {
         const grandchild = spawn('sleep', ['1000'], { detached: true, stdio: 'ignore' });
         process.stdout.write(String(grandchild.pid));
       });`,
    );
    group.add(child.pid as number);
    child.stdin?.write('go');
    const [pid] = (await once(child.stdout as NodeJS.ReadableStream, 'data')) as [Buffer];
    expect(group.isEmpty()).toBe(false);
    expect(group.remove()).toBe(false);
    group.kill();
    expect(await ended(child)).toBe('SIGKILL');
    await goneProcess(Number(pid));
    expect(group.isEmpty()).toBe(true);
    expect(group.remove()).toBe(true);
  });

  test('without cgroup.kill the processes of a group are stopped from forking and killed one by one', async () => {
    const group = open().create('one-by-one');
    const folders = group.folders.filter((folder) => existsSync(join(folder, 'pids.max')));
    const child = run('process.stdin.resume()');
    group.add(child.pid as number);
    killCgroups(folders);
    expect(await ended(child)).toBe('SIGKILL');
    expect(readFileSync(join(folders[0] as string, 'pids.max'), 'utf8').trim()).toBe('0');
    expect(areCgroupsEmpty(folders)).toBe(true);
  });
});

(canKillAtOnce ? describe : describe.skip)('the v2 tree of this host', () => {
  test('is used without controllers where it has none: cgroup.kill works, memory is not limited', async () => {
    const cgroups = open(unified);
    expect(cgroups.version).toBe('v2');
    const group = cgroups.create('plain');
    group.limit({ memoryMb: 64, cpu: 1, pids: 10 });
    const child = run('process.stdin.resume()');
    group.add(child.pid as number);
    expect(readFileSync(join(group.folders[0] as string, 'cgroup.procs'), 'utf8').trim()).toBe(String(child.pid));
    group.kill();
    expect(await ended(child)).toBe('SIGKILL');
    expect(group.remove()).toBe(true);
  });
});

describe('a v2 host with all controllers (its files in a folder)', () => {
  test('hands the controllers down from the own group to the containers, and sets limits there', () => {
    const root = fakeV2Root('0::/system.slice/worker.service\n', 'system.slice/worker.service');
    const cgroups = open(root);
    expect(cgroups).toMatchObject({ version: 'v2', limitsMemory: true });
    const own = join(root, 'system.slice/worker.service');
    expect(cgroups.parents[0]?.startsWith(`${own}/holdfast/`)).toBe(true);
    for (const folder of [own, join(own, 'holdfast'), cgroups.parents[0] as string]) {
      expect(readFileSync(join(folder, 'cgroup.subtree_control'), 'utf8')).not.toBe('');
    }
    const group = cgroups.create('c1');
    const folder = group.folders[0] as string;
    writeFileSync(join(folder, 'memory.swap.max'), 'max');
    group.limit({ memoryMb: 256, cpu: 1.5, pids: 99 });
    const read = (file: string) => readFileSync(join(folder, file), 'utf8');
    expect(read('memory.max')).toBe(String(256 * 1_048_576));
    expect(read('memory.swap.max')).toBe('0');
    expect(read('memory.oom.group')).toBe('1');
    expect(read('cpu.max')).toBe('150000 100000');
    expect(read('pids.max')).toBe('99');
    writeFileSync(join(folder, 'memory.events'), 'low 0\noom 1\noom_kill 1\n');
    expect(group.oomKills()).toBeGreaterThan(0);
  });

  test('gives what yields a weight of its own', () => {
    const root = fakeV2Root('0::/pod\n', 'pod');
    const yielding = open(root).create('gives-way', 'yielding').folders[0] as string;
    expect(yielding.startsWith(join(root, 'pod/holdfast-yielding/holdfast/'))).toBe(true);
    expect(readFileSync(join(root, 'pod/holdfast-yielding/cpu.weight'), 'utf8')).toBe('50');
    for (const above of ['..', '../..', '../../..'])
      expect(readFileSync(join(yielding, above, 'cgroup.subtree_control'), 'utf8')).not.toBe('');
  });

  test('has what yields give way where the kernel can, and counts what it uses', () => {
    const root = fakeV2Root('0::/pod\n', 'pod');
    const top = join(root, 'pod/holdfast-yielding');
    expect(open(root).yielding).toBeNull();
    writeFileSync(join(top, 'cpu.idle'), '0');
    writeFileSync(join(top, 'cpu.stat'), 'usage_usec 2500\nuser_usec 2000\n');
    const { yielding } = open(root);
    expect(yielding?.usedMs()).toBe(2.5);
    yielding?.giveWay(true);
    expect(readFileSync(join(top, 'cpu.idle'), 'utf8')).toBe('1');
    yielding?.giveWay(false);
    expect(readFileSync(join(top, 'cpu.idle'), 'utf8')).toBe('0');
    expect(readFileSync(join(top, 'cpu.weight'), 'utf8')).toBe('50');
  });

  test('a second worker of the same process finds the base above the leaf that the first one moved it to', () => {
    const root = fakeV2Root('0::/pod/holdfast-worker\n', 'pod');
    mkdirSync(join(root, 'pod/holdfast-worker'));
    expect(open(root).parents[0]?.startsWith(join(root, 'pod/holdfast/'))).toBe(true);
  });
});

test('a host without cgroups gives groups that do nothing', () => {
  const root = mkdtempSync(join(tmpdir(), 'holdfast-none-'));
  cleanups.push(() => rmSync(root, { recursive: true }));
  const cgroups = open(root);
  expect(cgroups).toBe(noCgroups);
  const group = cgroups.create('c1');
  group.limit({ memoryMb: 1, cpu: 1, pids: 1 });
  group.kill();
  expect([group.folders, group.isEmpty(), group.remove(), group.oomKills()]).toEqual([[], true, true, 0]);
});

function fakeV2Root(membership: string, own: string): string {
  const root = mkdtempSync(join(tmpdir(), 'holdfast-v2-'));
  cleanups.push(() => rmSync(root, { recursive: true }));
  mkdirSync(join(root, own), { recursive: true });
  writeFileSync(join(root, 'membership'), membership);
  for (const folder of [root, join(root, own)])
    writeFileSync(join(folder, 'cgroup.controllers'), 'cpuset cpu io memory pids');
  return root;
}
