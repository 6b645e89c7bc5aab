import { Redis } from 'ioredis';
import { BenchProcess } from './child.js';
import { proportionalBytesOf } from './process-memory.js';
import { isNodeProcess, type Role } from './process-tree.js';

/** Bytes. */
export type MemoryByRole = Readonly<Partial<Record<Role, number>>>;

const collectWithinMs = 120_000;

/** What processes hold after they gave back what they do not use: their proportional share of memory, and what Redis uses. */
export async function memoryByRole(
  processes: ReadonlyMap<number, Role>,
  { redisUrl, signal }: { readonly redisUrl: string; readonly signal: AbortSignal },
): Promise<MemoryByRole> {
  const nodes = [...processes.keys()].filter(isNodeProcess);
  await using collector = new BenchProcess('collect-main', nodes.map(String), ['--experimental-websocket']);
  await collector.receive({ withinMs: collectWithinMs, signal });
  const others = [...processes].filter(([, role]) => role !== 'redis');
  return { ...proportionalMemory(others), redis: await redisBytes(redisUrl) };
}

/** What processes hold, their garbage too: memory that several of them share counts once. */
export function proportionalMemory(processes: Iterable<readonly [pid: number, role: Role]>): MemoryByRole {
  const found: Partial<Record<Role, number>> = {};
  for (const [pid, role] of processes) found[role] = (found[role] ?? 0) + proportionalBytesOf(pid);
  return found;
}

/** Its own account: what it has allocated, without what the allocator keeps or a fork for its log takes for a moment. */
async function redisBytes(url: string): Promise<number> {
  const redis = new Redis(url);
  try {
    return Number(/^used_memory:(\d+)/m.exec(await redis.info('memory'))?.[1] ?? 0);
  } finally {
    redis.disconnect();
  }
}
