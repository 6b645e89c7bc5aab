import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect } from 'vitest';
import { systemClock } from '../../../src/adapters/system/clock.js';
import { findBootCgroups, findLeftovers, removeLeftover } from '../../../src/runtime/isolation/leftovers.js';
import { bootFolderName } from '../../../src/runtime/process/boot-folder.js';
import { isolatedTest } from '../../isolated-test.js';
import { isRunning } from '../process/foreign-process.js';
import { launcher } from './harness.js';

interface Boot {
  readonly child: ChildProcess;
  readonly bootId: string;
  readonly bootFolder: string;
  readonly pid: number;
  readonly cgroups: readonly string[];
}

const program = fileURLToPath(new URL('./fixtures/worker.mjs', import.meta.url));
const cli = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url));
let data: string;
let folder: string;
const boots: Boot[] = [];

beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), 'holdfast-left-'));
  folder = join(data, 'sandboxes');
  mkdirSync(folder);
});
afterEach(async () => {
  for (const boot of boots.splice(0)) await killed(boot);
  for (const leftover of find()) await removeLeftover(leftover, systemClock);
  await rm(data, { recursive: true, force: true });
});

async function startBoot(watched: 'watched' | 'alone'): Promise<Boot> {
  const child = spawn(process.execPath, [program, folder, launcher, watched], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = await once(child.stdout, 'data');
  const boot = { child, ...JSON.parse(String(line)) } as Boot;
  boots.push(boot);
  return boot;
}

async function killed({ child }: Boot): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}

function find() {
  const mine = new Set(boots.map(({ bootId }) => bootId));
  const found = findLeftovers({ cgroupFolders: findBootCgroups(), sandboxFolders: [folder] });
  return found.filter(({ bootId, folders }) => mine.has(bootId) || folders.some((path) => path.startsWith(data)));
}

isolatedTest(
  'what a worker that was killed together with its watchdog left is found and removed, and a living one keeps all',
  async () => {
    const dead = await startBoot('alone');
    const living = await startBoot('alone');
    await killed(dead);
    const [leftover, ...others] = find();
    expect(others).toEqual([]);
    expect(leftover).toMatchObject({ bootId: dead.bootId, folders: [join(folder, dead.bootFolder)] });
    expect([...(leftover?.cgroups ?? [])].sort()).toEqual([...dead.cgroups].sort());
    expect(leftover?.bytes).toBeGreaterThan(100_000);
    expect(await removeLeftover(leftover as NonNullable<typeof leftover>, systemClock)).toBeNull();
    expect(find()).toEqual([]);
    expect([...dead.cgroups, join(folder, dead.bootFolder)].filter(existsSync)).toEqual([]);
    expect(isRunning(dead.pid)).toBe(false);
    expect([...living.cgroups, join(folder, living.bootFolder)].every(existsSync)).toBe(true);
    expect(isRunning(living.pid)).toBe(true);
  },
);

isolatedTest('the watchdog of a killed worker removes its processes, cgroups and disks', async () => {
  const boot = await startBoot('watched');
  await killed(boot);
  await expect.poll(() => [...boot.cgroups, join(folder, boot.bootFolder)].filter(existsSync)).toEqual([]);
  expect(isRunning(boot.pid)).toBe(false);
});

isolatedTest('what belongs to a process of another pid namespace is left alone', () => {
  const [, rest] = bootFolderName('boot').split('@');
  mkdirSync(join(folder, `boot@1${rest}`));
  mkdirSync(join(folder, 'no-boot-at-all'));
  expect(find()).toEqual([]);
});

isolatedTest(
  'holdfast doctor says whether sandboxes can run, lists what is left, and removes it when it is told to',
  async () => {
    const boot = await startBoot('alone');
    await killed(boot);
    const doctor = (...args: string[]) =>
      spawnSync(process.execPath, [cli, 'doctor', '--data', data, ...args], { encoding: 'utf8' });
    const seen = doctor();
    expect([seen.status, seen.stderr]).toEqual([0, 'sandboxes can run here\nremove it with `holdfast doctor --fix`\n']);
    expect(seen.stdout).toMatch(new RegExp(`${boot.bootId} .*left`));
    const fixed = JSON.parse(doctor('--fix', '--json').stdout);
    const ofBoot = fixed.leftovers.find(({ bootId }: { bootId: string }) => bootId === boot.bootId);
    expect([fixed.sandboxesUnavailable, ofBoot.removed]).toEqual([null, true]);
    expect(existsSync(join(folder, boot.bootFolder))).toBe(false);
    expect(boot.cgroups.map((path) => dirname(path)).every(existsSync)).toBe(true);
  },
);

isolatedTest('holdfast doctor removes nothing of a boot below which something is mounted, and says where', async () => {
  const boot = await startBoot('alone');
  await killed(boot);
  const [others, mounted] = [join(data, 'others'), join(folder, boot.bootFolder, 'mounted')];
  mkdirSync(others);
  writeFileSync(join(others, 'file'), 'kept');
  mkdirSync(mounted);
  const fix = [process.execPath, cli, 'doctor', '--data', data, '--fix', '--json'];
  // In mounts of its own.
  const words = ['-m', '/bin/sh', '-ec', 'mount --bind "$1" "$2"; shift 2; exec "$@"', 'sh', others, mounted, ...fix];
  const { leftovers } = JSON.parse(spawnSync('/usr/bin/unshare', words, { encoding: 'utf8' }).stdout);
  const ofBoot = leftovers.find(({ bootId }: { bootId: string }) => bootId === boot.bootId);
  expect(ofBoot).toMatchObject({ removed: false, problem: expect.stringContaining(`mounted at ${mounted}`) });
  expect(readFileSync(join(others, 'file'), 'utf8')).toBe('kept');
  expect(existsSync(join(folder, boot.bootFolder))).toBe(true);
  // Killed all the same.
  expect(isRunning(boot.pid)).toBe(false);
});
