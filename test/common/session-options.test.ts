import { describe, expect, test } from 'vitest';
import { HoldfastError, isHoldfastError } from '../../src/common/errors.js';
import { resolveSandboxOptions } from '../../src/common/sandbox-options.js';
import {
  checkSessionArguments,
  checkSessionOptions,
  envText,
  type SessionOptions,
} from '../../src/common/session-options.js';
import { type Mountable, mountable } from '../../src/common/volume-mounts.js';
import { Image } from '../../src/sdk/images/image.js';

function refusal(work: () => unknown): string {
  try {
    work();
  } catch (e) {
    if (isHoldfastError(e, 'InvalidArgument')) return e.message;
    throw e;
  }
  throw new HoldfastError('Internal', 'nothing was refused');
}

describe('what a session is made with, on its way', () => {
  const image = 'a'.repeat(64);

  test('is its options, and for a fork its image and the variables that were taken away', () => {
    expect(checkSessionArguments('x', undefined)).toEqual({});
    const fork = { image, unsetEnv: ['A'] };
    expect(checkSessionArguments('x', { cwd: '/a', fork })).toEqual({ cwd: '/a', fork });
  });

  test.each([
    [{ fork: { image: '../x', unsetEnv: [] } }, 'id of an image'],
    [{ fork: { image } }, 'unsetEnv'],
    [{ fork: { image, unsetEnv: ['A=B'] } }, 'A=B'],
    [{ fork: null }, 'unsetEnv'],
    [{ image }, "no option 'image'"],
  ])('is refused where it is something else: %j', (value, named) => {
    expect(refusal(() => checkSessionArguments('x', value))).toContain(named);
  });
});

function mountOf(volume: string): Mountable {
  return {
    mountPath: null,
    [mountable]: () => ({ volume, readOnly: false, mode: 'shared', autoCommit: true }),
  };
}

describe('options of a session', () => {
  test('keep what was given and nothing else, so that equal options are equal arguments', () => {
    expect(checkSessionOptions('x', {})).toEqual({});
    expect(checkSessionOptions('x', { cwd: undefined, tags: ['a'] } as unknown as SessionOptions)).toEqual({
      tags: ['a'],
    });
  });

  test('write variables out as text', () => {
    const env = { A: 'a', N: 1, B: true, BIG: 10n, GONE: undefined };
    expect(checkSessionOptions('x', { env })).toEqual({ env: { A: 'a', N: '1', B: 'true', BIG: '10' } });
  });

  test.each([
    [{ cwd: '' }, 'cwd'],
    [{ cwd: 'a\0b' }, 'cwd'],
    [{ env: { 'A=B': 1 } }, 'A=B'],
    [{ env: { A: null } }, 'A'],
    [{ env: { A: { b: 1 } } }, 'A'],
    [{ env: [] }, 'env'],
    [{ idleTimeoutMs: 0 }, 'idleTimeoutMs'],
    [{ lifetimeMs: 1.5 }, 'lifetimeMs'],
    [{ network: 'all' }, 'network'],
    [{ network: { outbound: 'some' } }, 'network'],
    [{ network: { outbound: ['a b'] } }, 'network'],
    [{ network: { outbound: 'all', inbound: 'all' } }, 'network'],
    [{ tags: [''] }, 'tags'],
    [{ volumes: ['/data'] }, 'volumes'],
    [{ volumes: { '/': mountOf('a') } }, 'other than /'],
    [{ volumes: { '/data': mountOf('a'), '/data/b': mountOf('b') } }, 'within'],
  ])('refuse %j, naming what is wrong', (options, name) => {
    expect(refusal(() => checkSessionOptions('a session', options as SessionOptions))).toContain(name);
  });

  test('take volumes as a manifest has them, from a client and on their way', () => {
    const volumes = [{ path: '/data', volume: 'a', readOnly: false, mode: 'shared', autoCommit: true }];
    const given = checkSessionOptions('x', { volumes: { '/data': mountOf('a') } });
    expect(given).toEqual({ volumes });
    expect(checkSessionArguments('x', given)).toEqual({ volumes });
    for (const wrong of [{}, [null], [{ ...volumes[0], path: '/' }], [...volumes, ...volumes]]) {
      expect(refusal(() => checkSessionArguments('x', { volumes: wrong }))).toContain('volumes');
    }
  });

  test('have a network policy of none, all, or hosts', () => {
    for (const outbound of ['none', 'all', [], ['example.com', '10.0.0.0/8']] as const) {
      expect(checkSessionOptions('x', { network: { outbound } })).toEqual({ network: { outbound } });
    }
  });

  test('have no variable whose name or value a program could not read', () => {
    expect(refusal(() => envText('x', { '': 1 }))).toContain('""');
    expect(refusal(() => envText('x', { A: 'a\0b' }))).toContain('NUL');
  });
});

describe('options of a sandbox', () => {
  test('have the defaults that the documentation promises', () => {
    const resolved = resolveSandboxOptions('x');
    expect(resolved).toMatchObject({ timeoutMs: 3_600_000, isolation: 'bubblewrap', onLoss: 'fail' });
    expect(resolved).toMatchObject({ concurrentRequests: 1_000, maxPendingTasks: 100, tasksPerContainer: 1 });
  });

  test('count commands by tasksPerContainer, whatever concurrentRequests says', () => {
    const resolved = resolveSandboxOptions('x', { tasksPerContainer: 2, concurrentRequests: 50 });
    expect(resolved).toMatchObject({ concurrentRequests: 2, tasksPerContainer: 1 });
  });

  test('never ask for less than walls', () => {
    expect(resolveSandboxOptions('x', { isolation: 'process' }).isolation).toBe('bubblewrap');
    expect(resolveSandboxOptions('x', { isolation: 'gvisor' }).isolation).toBe('gvisor');
  });

  test('name an image by its id, and nothing else', () => {
    const id = '0'.repeat(64);
    expect(resolveSandboxOptions('x', { image: Image.fromId(id) }).image).toBe(id);
    expect(resolveSandboxOptions('x')).not.toHaveProperty('image');
    for (const image of [{ id: 'x' }, null, id]) {
      expect(refusal(() => resolveSandboxOptions('x', { image } as never))).toContain("option 'image'");
    }
  });
});
