import { createHash, randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import type { StoreUnderTest } from '../store-contract.js';
import { commitOf, publishMany, volumeOf } from './volumes.js';

const life = 60_000;
const hash = (text: string) => createHash('sha256').update(text).digest('hex');
const [a, b, c] = [hash('a'), hash('b'), hash('c')];

/** Tries with longer and longer lives until what must happen within one did; that life. */
async function inTime(attempt: (ttlMs: number) => Promise<boolean>): Promise<number> {
  let ttlMs = 250;
  while (!(await attempt(ttlMs))) ttlMs *= 2;
  return ttlMs;
}

export function holdTests(context: () => StoreUnderTest): void {
  const fresh = () => `account-${randomUUID()}`;
  const holdIn = async (account: string, id: string, ttlMs = life) =>
    expect(await context().store.holds.hold(account, { id, ttlMs, commit: null })).toBe(true);
  const sweepIn = async (account: string, id: string, ttlMs = life) =>
    expect(await context().store.holds.beginSweep(account, id, ttlMs)).toBe(true);

  test('I1: what a hold has reserved is not condemned, until the hold is released', async () => {
    const { holds } = context().store;
    const account = fresh();
    await holdIn(account, 'h1');
    await holdIn(account, 'h2');
    expect(await holds.reserve(account, 'h1', [a])).toEqual([]);
    expect(await holds.reserve(account, 'h2', [a, b])).toEqual([]);
    await sweepIn(account, 's1');
    const condemn = () => holds.condemn({ account, id: 's1', ttlMs: life }, [a, b, c]);
    expect(await condemn()).toEqual([c]);
    await holds.absolve(account, 's1');
    await holds.release(account, 'h2');
    expect(await condemn()).toEqual([b, c]);
    await holds.absolve(account, 's1');
    await holds.release(account, 'h1');
    expect(await condemn()).toEqual([a, b, c]);
  });

  test('I2: what is condemned is not reserved, until it was removed', async () => {
    const { holds } = context().store;
    const account = fresh();
    await sweepIn(account, 's1');
    expect(await holds.condemn({ account, id: 's1', ttlMs: life }, [a, b])).toEqual([a, b]);
    await holdIn(account, 'h1');
    expect(await holds.reserve(account, 'h1', [a, c])).toEqual([a]);
    await holds.absolve(account, 's1');
    expect(await holds.reserve(account, 'h1', [a])).toEqual([]);
    expect(await holds.condemn({ account, id: 's1', ttlMs: life }, [a, b, c])).toEqual([b]);
  });

  test('I2: also where the sweep died: another begins only when its batch is over', async () => {
    const { holds } = context().store;
    const account = fresh();
    let dead = '';
    await inTime(async (ttlMs) => {
      dead = `s1-${ttlMs}`;
      while (!(await holds.beginSweep(account, dead, ttlMs)));
      return (await holds.condemn({ account, id: dead, ttlMs: ttlMs + 500 }, [a])) !== null;
    });
    await holdIn(account, 'h1');
    while (!(await holds.beginSweep(account, 's2', life)))
      expect(await holds.renewSweep(account, 's2', life)).toBe(false);
    expect(await holds.reserve(account, 'h1', [a])).toEqual([]);
    expect(await holds.condemn({ account, id: dead, ttlMs: life }, [b])).toBeNull();
    await holds.absolve(account, dead);
    await holds.endSweep(account, dead);
    expect(await holds.renewSweep(account, 's2', life)).toBe(true);
  });

  test('what was published while a sweep goes on is not condemned by it, although its hold is over', async () => {
    const { store } = context();
    const { holds, volumes } = store;
    const volume = volumeOf(fresh(), 'data');
    const { account } = volume;
    await volumes.create(volume, null);
    await holdIn(account, 'before');
    await holds.reserve(account, 'before', [c]);
    await holds.release(account, 'before');
    await sweepIn(account, 's1');
    await holdIn(account, 'h1');
    await holds.reserve(account, 'h1', [a]);
    await volumes.publish(volume, commitOf('c1', null), { holdId: 'h1', expected: null });
    expect(await holds.condemn({ account, id: 's1', ttlMs: life }, [a, b, c])).toEqual([b, c]);
    await holds.endSweep(account, 's1');
    await sweepIn(account, 's2');
    expect(await holds.condemn({ account, id: 's2', ttlMs: life }, [a])).toEqual([a]);
  });

  test('what a hold kept is still named after its commit, until the sweep that went on is over', async () => {
    const { store } = context();
    const { holds, volumes } = store;
    const volume = volumeOf(fresh(), 'data');
    const { account, id: volumeId } = volume;
    await volumes.create(volume, null);
    const [first] = await publishMany(store, volume, 1);
    const publishOver = async (id: string, expected: string) => {
      await holds.hold(account, { id: `h-${id}`, ttlMs: life, commit: { volumeId, commitId: expected } });
      await volumes.publish(volume, commitOf(id, expected), { holdId: `h-${id}`, expected });
    };
    await sweepIn(account, 's1');
    await publishOver('next1', 'c0');
    expect(await holds.heldRoots(account)).toEqual([first?.root.hash]);
    await holds.endSweep(account, 's1');
    expect(await holds.heldRoots(account)).toEqual([]);
    await publishOver('next2', 'next1');
    expect(await holds.heldRoots(account)).toEqual([]);
  });

  test('I3: a hold whose time is over reserves nothing, keeps nothing, and stays over', async () => {
    const { holds } = context().store;
    const account = fresh();
    await holdIn(account, 'h1', 300);
    await holds.reserve(account, 'h1', [a]);
    while (await holds.reserve(account, 'h1', [b]));
    expect(await holds.renew(account, 'h1', life)).toBe(false);
    await sweepIn(account, 's1');
    expect(await holds.condemn({ account, id: 's1', ttlMs: life }, [a])).toEqual([a]);
  });

  test('a hold that is renewed keeps what it has', async () => {
    const { holds } = context().store;
    const account = fresh();
    const briefMs = await inTime(async (ttlMs) => {
      await holdIn(account, 'h1', ttlMs);
      await holds.reserve(account, 'h1', [a]);
      return await holds.renew(account, 'h1', life);
    });
    await holdIn(account, 'clock', briefMs + 100);
    while (await holds.reserve(account, 'clock', []));
    await sweepIn(account, 's1');
    expect(await holds.condemn({ account, id: 's1', ttlMs: life }, [a])).toEqual([]);
  });

  test('a hold names the roots of the commits that it keeps, which must be in a history', async () => {
    const { store } = context();
    const { holds } = store;
    const volume = volumeOf(fresh(), 'data');
    const { account, id: volumeId } = volume;
    await store.volumes.create(volume, null);
    const [first, second] = await publishMany(store, volume, 2);
    const take = (id: string, commitId: string) =>
      holds.hold(account, { id, ttlMs: life, commit: { volumeId, commitId } });
    expect(await take('h1', 'c0')).toBe(true);
    expect(await take('h2', 'never')).toBe(false);
    expect(await holds.holdAlso(account, 'h1', { volumeId, commitId: 'c1' })).toBe(true);
    expect(await holds.holdAlso(account, 'h1', { volumeId, commitId: 'never' })).toBe(false);
    expect(await holds.holdAlso(account, 'h2', { volumeId, commitId: 'c1' })).toBe(false);
    expect((await holds.heldRoots(account)).sort()).toEqual([first?.root.hash, second?.root.hash].sort());
    await store.volumes.forgetBefore(account, volumeId, 'c1');
    expect(await take('h3', 'c0')).toBe(false);
    await holds.release(account, 'h1');
    expect(await holds.heldRoots(account)).toEqual([]);
  });

  test('one sweep at a time, of each account, and a lapsed one condemns nothing', async () => {
    const { holds } = context().store;
    const account = fresh();
    await sweepIn(account, 's1');
    expect(await holds.beginSweep(account, 's1', life)).toBe(true);
    expect(await holds.beginSweep(account, 's2', life)).toBe(false);
    const other = fresh();
    await sweepIn(other, 's2', 300);
    while (!(await holds.beginSweep(other, 's3', life)));
    expect(await holds.condemn({ account: other, id: 's2', ttlMs: life }, [a])).toBeNull();
    expect(await holds.renewSweep(other, 's2', life)).toBe(false);
    await holds.endSweep(other, 's3');
    await sweepIn(other, 's4');
  });

  test('objects that holds of many readers stand beside are condemned all the same', async () => {
    const { holds } = context().store;
    const account = fresh();
    for (let i = 0; i < 50; i++) await holdIn(account, `reader-${i}`);
    await sweepIn(account, 's1');
    const many = Array.from({ length: 500 }, (_, i) => hash(`object-${i}`));
    await holds.reserve(account, 'reader-7', many.slice(0, 100));
    expect(await holds.condemn({ account, id: 's1', ttlMs: life }, many)).toEqual(many.slice(100));
  });
}
