import { readdir, readFile, readlink } from 'node:fs/promises';
import { Redis } from 'ioredis';
import type { World } from './world.js';

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

/** Of the routers and workers, and of all that they have started. */
export async function footprintOf(world: World): Promise<Footprint> {
  const roots = [...world.routers, ...world.workers].map(({ pid }) => pid);
  const pids = await withChildren(roots);
  const counts = await Promise.all(pids.map(descriptorsOf));
  const memory = await Promise.all(pids.map(memoryMbOf));
  return {
    processes: pids.length,
    memoryMb: Math.round(memory.reduce((sum, mb) => sum + mb, 0)),
    fileDescriptors: counts.reduce((sum, { all }) => sum + all, 0),
    sockets: counts.reduce((sum, { sockets }) => sum + sockets, 0),
    redisKeys: await lastingKeys(world.redisUrl),
    cgroups: await cgroupsOf(pids),
  };
}

async function withChildren(roots: readonly number[]): Promise<number[]> {
  const found: number[] = [];
  for (const left = [...roots]; left.length > 0; ) {
    const pid = left.pop() as number;
    found.push(pid);
    const threads = await readdir(`/proc/${pid}/task`).catch(() => []);
    for (const thread of threads) {
      const children = await readFile(`/proc/${pid}/task/${thread}/children`, 'utf8').catch(() => '');
      left.push(...children.split(' ').filter(Boolean).map(Number));
    }
  }
  return found;
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

/** Different groups that these processes are in. */
async function cgroupsOf(pids: readonly number[]): Promise<number> {
  const groups = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cgroup`, 'utf8').catch(() => '')));
  return new Set(groups).size;
}
