import { describe, expect, test } from 'vitest';
import { isHoldfastError } from '../../src/common/errors.js';
import { resolveClassOptions, resolveMethodOptions } from '../../src/common/options.js';
import { Secret } from '../../src/sdk/secret.js';
import { Volume } from '../../src/sdk/volumes/volume.js';

function refusal(options: object): string {
  try {
    resolveClassOptions("class 'Model'", options);
  } catch (e) {
    if (isHoldfastError(e, 'InvalidArgument')) return e.message;
    throw e;
  }
  throw new Error('nothing was refused');
}

describe('options of a class', () => {
  test('have the defaults that the documentation promises', () => {
    expect(resolveClassOptions("class 'Model'")).toEqual({
      cpu: 1,
      memoryMb: 1024,
      timeoutMs: 600_000,
      retries: { maxRetries: 0, initialDelayMs: 1_000, backoffCoefficient: 2, maxDelayMs: 60_000 },
      concurrentRequests: 1,
      maxPendingTasks: 100,
      tasksPerContainer: 1,
      startupTimeoutMs: 60_000,
      exitTimeoutMs: 30_000,
      idleTimeoutMs: null,
      isolation: null,
      onLoss: null,
      placement: {},
      secrets: [],
      tags: [],
      metadata: {},
    });
  });

  test('keep what was given, placement apart', () => {
    const resolved = resolveClassOptions("class 'Model'", {
      gpu: ['a100', 'h100'],
      minVramGb: 40,
      diskGb: 5,
      offerFilters: { zone: 'b', price: { max: 2 } },
      tags: new Set(['a', 'b']),
      metadata: { owner: { team: 'x' } },
      idleTimeoutMs: 5_000,
      maxContainers: 1,
    });
    expect(resolved.placement).toEqual({
      gpu: ['a100', 'h100'],
      minVramGb: 40,
      diskGb: 5,
      offerFilters: { zone: 'b', price: { max: 2 } },
    });
    expect(resolved.tags).toEqual(['a', 'b']);
    expect(resolved.idleTimeoutMs).toBe(5_000);
  });

  test('of a secret only its name and the variables that it must have are kept', () => {
    const secrets = [
      Secret.fromName('HF_TOKEN'),
      Secret.fromName('database', { requiredKeys: ['USER'] }),
      { name: 'plain', value: 'never kept' } as { name: string },
    ];
    const kept = [{ name: 'HF_TOKEN' }, { name: 'database', requiredKeys: ['USER'] }, { name: 'plain' }];
    expect(resolveClassOptions("class 'Model'", { secrets }).secrets).toEqual(kept);
    for (const wrong of [[{ name: 'a b' }], [{ name: 'a', requiredKeys: ['b-c'] }], ['HF_TOKEN'], {}])
      expect(refusal({ secrets: wrong })).toContain("'secrets'");
  });

  test('volumes are named by path or have one, and a manifest says how they are mounted', () => {
    const data = Volume.fromName('data', { createIfMissing: true, sizeGb: 2 });
    const plain = { volume: 'data', whenMissing: { sizeGb: 2 }, readOnly: false, mode: 'shared', autoCommit: true };
    expect(resolveClassOptions("class 'Model'", { volumes: { '/data': data } }).volumes).toEqual([
      { path: '/data', ...plain },
    ]);
    const mounted = [data.mount('/a', { readOnly: true }), Volume.fromName('b').mountedAt('/b', { mode: 'private' })];
    expect(resolveClassOptions("class 'Model'", { volumes: mounted }).volumes).toEqual([
      { path: '/a', ...plain, readOnly: true },
      { path: '/b', volume: 'b', readOnly: false, mode: 'private', autoCommit: false },
    ]);
    const wrong = [[data], { '/': data }, { data }, { '/a/../b': data }, { '/proc/x': data }, { '/a': 'data' }];
    for (const volumes of [...wrong, { '/a': data, '/a/b': data }, [mounted[0], mounted[0]]])
      expect(refusal({ volumes: volumes as never })).toContain("'volumes'");
    expect(() => data.mount('relative')).toThrow('an absolute path');
    expect(() => data.mount('/a', { mode: 'private', autoCommit: true })).toThrow('autoCommit');
  });

  test('an option that is undefined counts as absent', () => {
    const undefinedCpu = { cpu: undefined } as unknown as { cpu: number };
    expect(resolveClassOptions("class 'Model'", undefinedCpu).cpu).toBe(1);
  });

  test('tags may come from an iterator that can be read once', () => {
    const tags = ['x', 'y'].values();
    expect(resolveClassOptions("class 'Model'", { tags }).tags).toEqual(['x', 'y']);
  });

  test('retries win over maxRetries, and a number stands for the default delays', () => {
    expect(resolveClassOptions('c', { retries: 3, maxRetries: 7 }).retries.maxRetries).toBe(3);
    expect(resolveClassOptions('c', { maxRetries: 7 }).retries.maxRetries).toBe(7);
    expect(resolveClassOptions('c', { retries: { maxRetries: 1, initialDelayMs: 5 } }).retries).toEqual({
      maxRetries: 1,
      initialDelayMs: 5,
      backoffCoefficient: 2,
      maxDelayMs: 60_000,
    });
  });

  test('each error names the class, the option, what it must be and what it is', () => {
    expect(refusal({ cpu: -1 })).toBe("option 'cpu' of class 'Model' must be a number above 0, got -1");
    expect(refusal({ memoryMb: '1' })).toContain("'memoryMb' of class 'Model' must be a whole number");
    expect(refusal({ isolation: 'docker' })).toContain("one of 'process', 'bubblewrap', 'gvisor', got \"docker\"");
    expect(refusal({ timeoutMs: Number.NaN })).toContain('got NaN');
    expect(refusal({ concurrentRequests: 1.5 })).toContain('a whole number from 1');
    expect(refusal({ tags: 'ab' })).toContain("'tags'");
    expect(refusal({ retries: { retries: 1 } })).toContain("'retries'");
    expect(refusal({ offerFilters: { zone: { minimum: 1 } } })).toContain("'offerFilters'");
    expect(refusal({ metadata: { when: { at: new Date(0) } } })).toContain("'when.at'");
  });

  test('an unknown option is refused with the ones there are', () => {
    expect(refusal({ memory: 5 })).toMatch(/has no option 'memory'; it has: .*memoryMb/);
    expect(refusal(JSON.parse('{"__proto__": 1}'))).toContain('__proto__');
  });

  test('of pools are kept where they are not the defaults, and the least is no more than the most', () => {
    const pool = { maxContainers: 4, minContainers: 1, bufferContainers: 2 };
    expect(resolveClassOptions('class Model', pool)).toMatchObject(pool);
    expect(resolveClassOptions('class Model', { maxContainers: 1 })).not.toHaveProperty('maxContainers');
    expect(refusal({ maxContainers: 2, minContainers: 3 })).toContain(
      "'minContainers' of class 'Model' must be at most maxContainers (2), got 3",
    );
    expect(refusal({ maxContainers: 0 })).toContain('a whole number from 1');
  });
});

test('options of a method default to a call that is neither repeated nor concurrent', () => {
  expect(resolveMethodOptions('@method x')).toEqual({ tags: [], metadata: {}, idempotent: false, concurrent: false });
  expect(() => resolveMethodOptions('@method x', { idempotent: 'yes' } as never)).toThrow(
    "option 'idempotent' of @method x must be true or false",
  );
});
