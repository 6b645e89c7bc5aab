import { readdir, readFile, readlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Redis } from 'ioredis';
import { bin, type World } from './world.js';

/** What a world holds at a moment. */
export interface Footprint {
  readonly processes: number;
  readonly memoryMb: number;
  readonly fileDescriptors: number;
  readonly sockets: number;
  /** That have no end of their own. */
  readonly redisKeys: number;
  readonly cgroups: number;
}

/** Of the routers and workers, of all that they have started, and of what those that were killed have left. */
export async function footprintOf(world: World): Promise<Footprint> {
  const parts = [...world.routers, ...world.workers];
  const pids = await processesOf(world);
  const counts = await Promise.all(pids.map(descriptorsOf));
  const memory = await Promise.all(pids.map(memoryMbOf));
  return {
    processes: pids.length,
    memoryMb: Math.round(memory.reduce((sum, mb) => sum + mb, 0)),
    fileDescriptors: counts.reduce((sum, { all }) => sum + all, 0),
    sockets: counts.reduce((sum, { sockets }) => sum + sockets, 0),
    redisKeys: await lastingKeys(world.servers.redisUrl),
    cgroups: await cgroupsOf(new Set(parts.flatMap((part) => [...part.pids]))),
  };
}

/** Whoever runs this program, or one beside it: children of what was killed have another parent. */
async function processesOf(world: World): Promise<number[]> {
  const programs = dirname(bin);
  const servers = new Set(world.site.procs.map(({ pid }) => pid));
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')));
  return pids.filter((pid, i) => servers.has(pid) || lines[i]?.includes(programs));
}

async function descriptorsOf(pid: number): Promise<{ readonly all: number; readonly sockets: number }> {
  const folder = `/proc/${pid}/fd`;
  const names = await readdir(folder).catch(() => []);
  const targets = await Promise.all(names.map((name) => readlink(`${folder}/${name}`).catch(() => '')));
  return { all: names.length, sockets: targets.filter((target) => target.startsWith('socket:')).length };
}

async function memoryMbOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return Number(/^RssAnon:\s+(\d+)/m.exec(status)?.[1] ?? 0) / 1_024;
}

/** Tombstones and leases end by themselves. */
async function lastingKeys(url: string): Promise<number> {
  const redis = new Redis(url);
  try {
    let count = 0;
    let cursor = '0';
    do {
      const [next, keys] = await redis.scan(cursor, 'COUNT', 1_000);
      cursor = next;
      const ends = await Promise.all(keys.map((key) => redis.pttl(key)));
      count += ends.filter((ms) => ms === -1).length;
    } while (cursor !== '0');
    return count;
  } finally {
    redis.disconnect();
  }
}

/** Folders of groups that are there for these workers, in all hierarchies; the name of a boot's has its process. */
async function cgroupsOf(workers: ReadonlySet<number>): Promise<number> {
  const folders = await foldersBelow('/sys/fs/cgroup');
  return folders.filter((folder) => {
    const [, pid] = /\/[\w-]+@\d+-(\d+)-\d+(?:\/|$)/.exec(folder) ?? [];
    return pid !== undefined && workers.has(Number(pid));
  }).length;
}

/** Those that disappear meanwhile have none. */
async function foldersBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const folders = entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(folder, name));
  const below = await Promise.all(folders.map(foldersBelow));
  return [...folders, ...below.flat()];
}
