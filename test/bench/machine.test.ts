import { accessSync, constants, existsSync, mkdirSync, readFileSync, rmdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { nameOfPin } from '../../bench/load/resolves.js';
import { BenchProcess } from '../../bench/processes/child.js';
import { AwakeCores, allCores } from '../../bench/processes/cores.js';
import { memoryByRole } from '../../bench/processes/memory-by-role.js';
import { descendantsOf } from '../../bench/processes/process-tree.js';
import { fillPins } from '../../bench/product/fill-pins.js';
import { systemClock } from '../../src/adapters/system/clock.js';
import { openStore } from '../../src/cli/open-store.js';
import { type BootId, instanceKey, type WorkerId } from '../../src/common/ids.js';
import { startRedis } from '../servers.js';

/** SCHED_IDLE. */
const idlePolicy = '5';
const { signal } = new AbortController();

function isIdleProcess(pid: number): boolean {
  try {
    // Behind the name, which may hold anything, the policy is the 39th field.
    return (
      readFileSync(`/proc/${pid}/stat`, 'utf8')
        .replace(/^.*\) /s, '')
        .split(' ')[38] === idlePolicy
    );
  } catch {
    return false;
  }
}

/** Root may make a group that yields; of another user's groups nothing is known. */
function canYield(): boolean {
  return ['/sys/fs/cgroup/cpu', '/sys/fs/cgroup'].some((root) => {
    const folder = `${root}/holdfast-may-yield-${process.pid}`;
    try {
      mkdirSync(folder);
    } catch {
      return false;
    }
    const can = existsSync(`${folder}/cpu.idle`);
    rmdirSync(folder);
    return can;
  });
}

describe('the machine of a benchmark', { timeout: 180_000 }, () => {
  it('has every core kept awake by a process that yields to all others, until it may sleep', async ({ skip }) => {
    const idleOnes = (): number[] => descendantsOf(process.pid).filter(isIdleProcess);
    await using cores = new AwakeCores();
    if (!cores.keepAwake()) return skip('needs taskset and chrt of util-linux');
    await expect.poll(idleOnes, { timeout: 30_000 }).toHaveLength(allCores().length);
    await cores.letSleep();
    expect(idleOnes()).toEqual([]);
  });

  it('is kept awake by a group that yields to all others while neighbours are measured, and as before afterwards', async ({
    skip,
  }) => {
    const groupsOf = (): string[] =>
      descendantsOf(process.pid)
        .filter(isIdleProcess)
        .map((pid) => /holdfast-awake-\d+/.exec(readFileSync(`/proc/${pid}/cgroup`, 'utf8'))?.[0] ?? 'none');
    const alone = allCores().map(() => 'none');
    await using cores = new AwakeCores();
    expect(await cores.yieldingDuring(async () => groupsOf())).toEqual([]);
    if (!cores.keepAwake()) return skip('needs taskset and chrt of util-linux');
    await expect.poll(groupsOf, { timeout: 30_000 }).toEqual(alone);
    if (!canYield()) return skip('needs the right to make a group with cpu.idle');
    const group = alone.map(() => `holdfast-awake-${process.pid}`);
    await cores.yieldingDuring(() => expect.poll(groupsOf, { timeout: 30_000 }).toEqual(group));
    await expect.poll(groupsOf, { timeout: 30_000 }).toEqual(alone);
  });

  it('has cores that look for work while sandboxes are measured, and as before afterwards', async ({ skip }) => {
    const latency = '/dev/cpu_dma_latency';
    try {
      accessSync(latency, constants.W_OK);
    } catch {
      return skip(`needs ${latency}, and the right to write to it`);
    }
    const read = (): number => readFileSync(latency).readInt32LE();
    const before = read();
    await using cores = new AwakeCores();
    expect(await cores.pollingDuring(async () => read())).toBe(0);
    expect(read()).toBe(before);
    await expect(cores.pollingDuring(() => Promise.reject(new Error('broken')))).rejects.toThrow('broken');
    expect(read()).toBe(before);
  });

  it('shows the memory of processes by their part, that of Redis as Redis counts it', async () => {
    await using redis = await startRedis();
    await using server = new BenchProcess('server-main', ['tcp-echo']);
    await server.receive({ withinMs: 120_000, signal });
    const parts = new Map([[server.pid, 'server'] as const, [redis.pid, 'redis'] as const]);
    const found = await memoryByRole(parts, { redisUrl: redis.url, signal });
    expect(found).toEqual({ server: expect.any(Number), redis: expect.any(Number) });
    expect(found.server).toBeGreaterThan(5_000_000);
    expect(found.redis).toBeGreaterThan(100_000);
  });

  it('gets pins that stand where another one stands', async () => {
    await using redis = await startRedis();
    const store = await openStore({ kind: 'redis', url: redis.url }, systemClock);
    const like = { account: 'default', app: 'bench', className: 'Packed', id: 'like' };
    const place = { workerId: 'w' as WorkerId, bootId: 'b' as BootId, address: 'h:1', deployment: 1 };
    const what = { kind: 'class', tags: [] } as const;
    const making = { argsHash: '', args: new Uint8Array(), onLoss: 'recreate', createdAtMs: 1, restarts: 0 } as const;
    try {
      const fill = { redisUrl: redis.url, like, count: 2_500, signal };
      await expect(fillPins(fill)).rejects.toThrow('nowhere, not active');
      await store.pins.change(instanceKey(like), {
        ...{ expect: 'none', opId: 'first', epoch: 'next', generation: 'epoch', transitions: [], ttlMs: null },
        fields: {
          identity: like,
          state: 'active',
          ...place,
          ...what,
          ...making,
          restarted: false,
          isBrought: false,
          placement: null,
        },
      });
      await fillPins(fill);
      const ids = [0, 1_999, 2_499].map((index) => ({ ...like, id: nameOfPin(index) }));
      const pins = await store.pins.getMany(ids.map(instanceKey));
      expect(pins).toMatchObject(ids.map((identity) => ({ identity, state: 'active', ...place })));
      expect(await store.pins.get(instanceKey({ ...like, id: nameOfPin(2_500) }))).toBeNull();
    } finally {
      await store.close();
    }
  });
});
