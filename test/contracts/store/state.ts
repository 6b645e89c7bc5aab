import fc from 'fast-check';
import { expect, test } from 'vitest';
import { instanceKey } from '../../../src/common/ids.js';
import type { Pin } from '../../../src/common/pin.js';
import type { StateOwner, StateRange, StateStore } from '../../../src/common/ports/state-store.js';
import { listRange, nextRange } from '../../../src/wire/storage-keys.js';
import type { StoreUnderTest } from '../store-contract.js';
import { applied, closing, made, next, remaking } from './pin-changes.js';

const bytes = (...values: number[]) => Uint8Array.from(values);

export function stateTests(context: () => StoreUnderTest): void {
  const change = async (pin: Pin, to: Pin['state'], isNext = false) =>
    applied(await context().store.pins.change(instanceKey(pin.identity), next(pin, to, isNext)));
  const active = async () => {
    const pin = await change(await made(context().store), 'active');
    return { pin, owner: ownerOf(pin) };
  };
  const put = (owner: StateOwner, sequence: number, entries: Readonly<Record<string, Uint8Array | null>>) =>
    context().store.state.commit(owner, {
      sequence,
      changes: Object.entries(entries).map(([key, value]) => ({ key, value })),
    });

  test('D1: values are kept byte for byte, of each instance by itself', async () => {
    const { state } = context().store;
    const [a, b] = [await active(), await active()];
    const all = Uint8Array.from({ length: 256 }, (_, i) => i);
    expect(await put(a.owner, 1, { all, empty: bytes(), 'ключ 🗝': bytes(1) })).toBe('committed');
    expect(await readOf(state, a.owner, 'all')).toEqual(all);
    expect(await readOf(state, a.owner, 'empty')).toEqual(bytes());
    expect(await readOf(state, a.owner, 'ключ 🗝')).toEqual(bytes(1));
    expect(await readOf(state, a.owner, 'none')).toBeNull();
    expect(await readOf(state, b.owner, 'all')).toBeNull();
  });

  test('D2: a commit puts and deletes at once, and what is deleted is in no list', async () => {
    const { state } = context().store;
    const { owner } = await active();
    await put(owner, 1, { a: bytes(1), b: bytes(2), c: bytes(3) });
    await put(owner, 2, { a: null, b: bytes(9), d: bytes(4), never: null });
    expect(await readOf(state, owner, 'a')).toBeNull();
    expect(await listed(state, owner)).toEqual([
      ['b', [9]],
      ['c', [3]],
      ['d', [4]],
    ]);
  });

  test('D1: an activation whose successor has begun reads and writes nothing any more, and its successor has all', async () => {
    const { state, pins } = context().store;
    const { pin, owner } = await active();
    await put(owner, 1, { n: bytes(1) });
    const placing = await change(pin, 'placing', true);
    expect(await put(owner, 2, { n: bytes(2) })).toBe('stale');
    // Its own turn comes when the pin says that it is active.
    expect(await put(ownerOf(placing), 1, { n: bytes(3) })).toBe('stale');
    const successor = ownerOf(await change(placing, 'active'));
    expect(await put(owner, 3, { n: bytes(4) })).toBe('stale');
    expect(await state.get(owner, 'n')).toBe('stale');
    expect(await state.list(owner, everything)).toBe('stale');
    expect(await readOf(state, successor, 'n')).toEqual(bytes(1));
    expect((await pins.get(owner.key))?.epoch).toBe(successor.epoch);
  });

  test('D1: an instance reads and writes until it has left, and not after that', async () => {
    for (const leaving of ['draining', 'closing'] as const) {
      const { pin, owner } = await active();
      const left = await change(pin, leaving);
      expect(await put(owner, 1, { n: bytes(1) })).toBe('committed');
      await change(left, leaving === 'draining' ? 'idle' : 'closed');
      expect(await put(owner, 2, { n: bytes(2) })).toBe('stale');
    }
    const nobody = { key: instanceKey({ account: 'a', app: 'b', className: 'c', id: 'd' }), epoch: 1 };
    expect(await put(nobody, 1, { n: bytes(1) })).toBe('stale');
  });

  test('D4: a commit that arrives again, late, changes nothing', async () => {
    const { state } = context().store;
    const { owner } = await active();
    await put(owner, 1, { n: bytes(1) });
    await put(owner, 2, { n: bytes(2) });
    expect(await put(owner, 1, { n: bytes(1) })).toBe('committed');
    expect(await put(owner, 2, { n: bytes(0) })).toBe('committed');
    expect(await readOf(state, owner, 'n')).toEqual(bytes(2));
  });

  test('D4: the next activation counts its commits from the beginning', async () => {
    const { state } = context().store;
    const { pin, owner } = await active();
    await put(owner, 7, { n: bytes(7) });
    const again = ownerOf(await change(await change(pin, 'placing', true), 'active'));
    await put(again, 1, { n: bytes(1) });
    expect(await readOf(state, again, 'n')).toEqual(bytes(1));
  });

  test('D5: what is closed leaves nothing behind for the id that is made again', async () => {
    const { state, pins } = context().store;
    const { pin, owner } = await active();
    await put(owner, 1, { n: bytes(1), m: bytes(2) });
    const closed = applied(await pins.change(owner.key, closing(await change(pin, 'closing'))));
    const remade = applied(await pins.change(owner.key, remaking(closed)));
    const again = ownerOf(await change(remade, 'active'));
    expect(await listed(state, again)).toEqual([]);
    expect(await readOf(state, again, 'n')).toBeNull();
  });

  test('D5: what sleeps, or is lost, keeps it', async () => {
    const { state } = context().store;
    const { pin, owner } = await active();
    await put(owner, 1, { n: bytes(1) });
    const asleep = await change(await change(pin, 'draining'), 'idle');
    const awake = ownerOf(await change(await change(asleep, 'placing', true), 'active'));
    expect(await readOf(state, awake, 'n')).toEqual(bytes(1));
  });

  test('lists are in the order of the bytes of their keys, between bounds, from either end', async () => {
    const { state } = context().store;
    const { owner } = await active();
    const keys = ['a', 'a\u0000', 'aa', 'b', 'b:1', 'b:10', 'b:2', 'c', 'é', '\uffff', '😀'];
    await put(owner, 1, Object.fromEntries(keys.map((key, i) => [key, bytes(i)])));
    const of = async (options: Parameters<typeof listRange>[0]) =>
      (await listed(state, owner, listRange(options))).map(([key]) => key);
    expect(await of({})).toEqual(keys);
    expect(await of({ reverse: true })).toEqual(keys.toReversed());
    expect(await of({ prefix: 'b:' })).toEqual(['b:1', 'b:10', 'b:2']);
    expect(await of({ prefix: 'b', start: 'b:10', end: 'c' })).toEqual(['b:10', 'b:2']);
    expect(await of({ start: 'b', limit: 2 })).toEqual(['b', 'b:1']);
    expect(await of({ end: 'b', reverse: true, limit: 2 })).toEqual(['aa', 'a\u0000']);
    expect(await of({ start: 'c', end: 'b' })).toEqual([]);
  });

  test('lists of any keys, in pages of any size, are what a sorted list would be', async () => {
    const { state } = context().store;
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(fc.string({ minLength: 1, maxLength: 6, unit: 'grapheme' }), { maxLength: 12 }),
        fc.record({ start: fc.string({ minLength: 1, maxLength: 2, unit: 'grapheme' }), reverse: fc.boolean() }),
        fc.integer({ min: 1, max: 5 }),
        async (keys, { start, reverse }, pageSize) => {
          const { owner } = await active();
          await put(owner, 1, Object.fromEntries(keys.map((key) => [key, bytes(1)])));
          const sorted = keys.map((key) => Buffer.from(key)).sort(Buffer.compare);
          const wanted = sorted.filter((key) => Buffer.compare(key, Buffer.from(start)) >= 0).map(String);
          const got: string[] = [];
          let range: StateRange | null = listRange({ start, reverse });
          while (range !== null) {
            const page = await state.list(owner, { ...range, limit: pageSize });
            if (page === 'stale') throw new Error('stale');
            got.push(...page.entries.map(({ key }) => key));
            range = nextRange(range, page);
          }
          expect(got).toEqual(reverse ? wanted.toReversed() : wanted);
        },
      ),
      { numRuns: 15 },
    );
  });

  test('a page ends after about 1 MiB, and says that there is more', async () => {
    const { state } = context().store;
    const { owner } = await active();
    for (let i = 0; i < 3; i += 1)
      await put(owner, i + 1, Object.fromEntries([0, 1, 2, 3, 4].map((j) => [`k${i}${j}`, new Uint8Array(131_072)])));
    const page = await state.list(owner, everything);
    if (page === 'stale') throw new Error('stale');
    expect(page.entries).toHaveLength(8);
    expect(page.isEnd).toBe(false);
    expect(await listed(state, owner)).toHaveLength(15);
  });

  test('of two activations that write at once the newer wins, in whatever order they come', async () => {
    const { store, connect } = context();
    const other = await connect();
    const { pin, owner } = await active();
    const writes = Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        store.state.commit(owner, { sequence: i + 1, changes: [{ key: 'n', value: bytes(i) }] }),
      ),
    );
    const moved = await change(await change(pin, 'placing', true), 'active');
    const results = await writes;
    const lastWritten = results.lastIndexOf('committed');
    const value = await other.state.get(ownerOf(moved), 'n');
    expect(value).toEqual({ value: lastWritten < 0 ? null : expect.objectContaining({ 0: lastWritten }) });
    await other.close();
  });
}

const everything: StateRange = { from: null, to: null, limit: 10_000, reverse: false };

function ownerOf({ identity, epoch }: Pin): StateOwner {
  return { key: instanceKey(identity), epoch };
}

async function readOf(state: StateStore, owner: StateOwner, key: string): Promise<Uint8Array | null> {
  const got = await state.get(owner, key);
  if (got === 'stale') throw new Error('stale');
  return got.value === null ? null : Uint8Array.from(got.value);
}

async function listed(state: StateStore, owner: StateOwner, all = everything): Promise<[string, number[]][]> {
  const found: [string, number[]][] = [];
  let range: StateRange | null = all;
  while (range !== null) {
    const page = await state.list(owner, range);
    if (page === 'stale') throw new Error('stale');
    for (const { key, value } of page.entries) found.push([key, [...value]]);
    range = nextRange(range, page);
  }
  return found;
}
