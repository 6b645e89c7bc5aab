import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HoldfastError } from '../../src/common/errors.js';
import { maxStorageValueBytes } from '../../src/common/instance-storage.js';
import type { StateCommit, StatePage, StateRange } from '../../src/common/ports/state-store.js';
import { LocalState } from '../../src/sdk/local/local-state.js';
import { decodeValue } from '../../src/wire/codec/codec.js';
import { CoalescingStorage, type StateLink } from '../../src/wire/link/instance-storage.js';

/** A way to a store on which every commit waits for the test. */
class HeldLink implements StateLink {
  readonly commits: StateCommit[] = [];
  readonly store = new LocalState();
  reads = 0;
  readonly #settle: ((error?: unknown) => void)[] = [];

  async commit(commit: StateCommit): Promise<void> {
    this.commits.push(commit);
    const error = await new Promise((resolve) => this.#settle.push(resolve));
    if (error !== undefined) throw error;
    await this.store.commit(commit);
  }

  get(key: string): Promise<Uint8Array | null> {
    this.reads += 1;
    return this.store.get(key);
  }

  alarm(): Promise<number | null> {
    return this.store.alarm();
  }

  list(range: StateRange): Promise<StatePage> {
    this.reads += 1;
    return this.store.list(range);
  }

  /** The oldest commit that is under way ends. */
  async settle(error?: unknown): Promise<void> {
    await turn();
    this.#settle.shift()?.(error);
    await turn();
  }

  written(n: number): unknown {
    return this.commits[n]?.changes.map(({ key, value }) => [key, value === null ? null : decodeValue(value)]);
  }
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

function held(): { readonly link: HeldLink; readonly storage: CoalescingStorage } {
  const link = new HeldLink();
  return { link, storage: new CoalescingStorage(link, { label: 'demo/Thing/a', hasAlarm: true }) };
}

describe('the storage of an instance', () => {
  test('W1: what is written in one turn goes together, the last value of each key', async () => {
    const { link, storage } = held();
    const writes = [storage.put('a', 1), storage.put('b', 2), storage.put('a', 3), storage.delete('c')];
    await link.settle();
    await Promise.all(writes);
    expect(link.commits).toHaveLength(1);
    expect(link.written(0)).toEqual([
      ['a', 3],
      ['b', 2],
      ['c', null],
    ]);
  });

  test('W1: what is written while a commit is under way goes together after it, one commit at a time', async () => {
    const { link, storage } = held();
    const first = storage.put('a', 1);
    await turn();
    const later = [storage.put('b', 1)];
    await turn();
    later.push(storage.put('c', 1));
    await turn();
    expect(link.commits.map(({ sequence }) => sequence)).toEqual([1]);
    await link.settle();
    await first;
    expect(link.commits.map(({ sequence }) => sequence)).toEqual([1, 2]);
    expect(link.written(1)).toEqual([
      ['b', 1],
      ['c', 1],
    ]);
    await link.settle();
    await Promise.all(later);
  });

  test('W1: a commit takes 1 MiB, and a batch is never parted', async () => {
    const { link, storage } = held();
    const half = new Uint8Array(maxStorageValueBytes - 64);
    const batch = () => storage.batch({ put: { a: half, b: half, c: half, d: half, e: half } });
    const writes = [batch(), batch(), storage.put('f', 1)];
    for (let i = 0; i < 3; i += 1) await link.settle();
    await Promise.all(writes);
    expect(link.commits.map(({ changes }) => changes.length)).toEqual([5, 6]);
  });

  test('W2: a read begins when all that was written before it is stored', async () => {
    const { link, storage } = held();
    void storage.put('a', 1);
    const [read, list] = [storage.get('a'), storage.list()];
    await turn();
    expect(link.reads).toBe(0);
    await link.settle();
    expect(await read).toBe(1);
    expect(await list).toEqual(new Map([['a', 1]]));
  });

  test('W3: what is refused for good refuses all that waits and all that follows, awaited or not', async () => {
    const { link, storage } = held();
    const refusal = new HoldfastError('Unavailable', 'no permission', { retryable: false });
    const first = storage.put('a', 1);
    await turn();
    const second = storage.put('b', 1);
    void storage.put('c', 1);
    await link.settle(refusal);
    for (const each of [first, second, storage.put('d', 1), storage.get('a'), storage.settled()])
      await expect(each).rejects.toBe(refusal);
    expect(link.commits).toHaveLength(1);
  });

  test('D3: what is not stored yet can be waited for, and where nothing is there is nothing to wait for', async () => {
    const { link, storage } = held();
    expect(storage.settled()).toBeNull();
    void storage.put('a', 1);
    const settled = storage.settled();
    await link.settle();
    await settled;
    expect(storage.settled()).toBeNull();
  });

  test('a value is kept as it is when it is written', async () => {
    const { link, storage } = held();
    const value = { list: [1] };
    const written = storage.put('a', value);
    value.list.push(2);
    await link.settle();
    await written;
    expect(await storage.get('a')).toEqual({ list: [1] });
  });

  test('keys and values have bounds, and what breaks them is refused before anything is sent', async () => {
    const { link, storage } = held();
    const invalid = { code: 'InvalidArgument' };
    for (const key of ['', 'x'.repeat(513), 'é'.repeat(257), '\ud800', 5 as unknown as string]) {
      await expect(storage.put(key, 1)).rejects.toMatchObject(invalid);
      await expect(storage.get(key)).rejects.toMatchObject(invalid);
      await expect(storage.delete(key)).rejects.toMatchObject(invalid);
      await expect(storage.batch({ delete: [key] })).rejects.toMatchObject(invalid);
    }
    await expect(storage.put('a', undefined)).rejects.toMatchObject(invalid);
    await expect(storage.put('a', () => 1)).rejects.toMatchObject({ code: 'NotSerializable' });
    const tooLarge = { code: 'PayloadTooLarge', details: { maxBytes: maxStorageValueBytes } };
    await expect(storage.put('a', 'x'.repeat(maxStorageValueBytes))).rejects.toMatchObject(tooLarge);
    const many = Array.from({ length: 129 }, (_, i) => `k${i}`);
    await expect(storage.batch({ delete: many })).rejects.toMatchObject(invalid);
    await expect(storage.batch({ put: { a: 1 }, delete: ['a'] })).rejects.toMatchObject(invalid);
    await expect(storage.list({ limit: 0 })).rejects.toMatchObject(invalid);
    const big = Object.fromEntries(many.slice(0, 9).map((key) => [key, new Uint8Array(120_000)]));
    await expect(storage.batch({ put: big })).rejects.toMatchObject({ code: 'PayloadTooLarge' });
    // What is deleted counts too: the worker ends a container for a commit that is too large.
    const full = Object.fromEntries(many.slice(0, 8).map((key) => [key, new Uint8Array(130_900)]));
    const gone = many.slice(8, 120).map((key) => key.padEnd(512, '.'));
    await expect(storage.batch({ put: full, delete: gone })).rejects.toMatchObject({ code: 'PayloadTooLarge' });
    expect(link.commits).toEqual([]);
    const longest = storage.put('x'.repeat(512), 1);
    await link.settle();
    await longest;
  });

  test('no more than 16 MiB wait for a store that does not answer', async () => {
    const { storage } = held();
    const value = new Uint8Array(131_000);
    for (let i = 0; i < 127; i += 1) void storage.put(`k${i}`, value);
    await expect(storage.put('one more', value)).rejects.toMatchObject({ code: 'PendingLimitExceeded' });
  });

  test('after its end nothing is read or written, and what was written before is still stored', async () => {
    const { link, storage } = held();
    const before = storage.put('a', 1);
    const ended = storage.end();
    await expect(storage.put('b', 1)).rejects.toMatchObject({ code: 'InstanceClosed' });
    await expect(storage.get('a')).rejects.toMatchObject({ code: 'InstanceClosed' });
    await link.settle();
    await Promise.all([before, ended]);
    expect(await link.store.get('a')).not.toBeNull();
  });

  test('whatever is written and read in whatever order, it reads as a map that was changed in this order', async () => {
    const key = fc.constantFrom('a', 'b', 'ab', 'b:1');
    // A field of that name is refused, as a test of its own says of the codec.
    const value = fc.jsonValue().filter((json) => !JSON.stringify(json).includes('__proto__'));
    const step = fc.oneof(
      fc.record({ do: fc.constant('put' as const), key, value }),
      fc.record({ do: fc.constant('delete' as const), key }),
      fc.record({ do: fc.constant('batch' as const), put: fc.dictionary(key, fc.integer()) }),
      fc.record({ do: fc.constant('get' as const), key }),
      fc.record({ do: fc.constant('list' as const), prefix: key }),
      fc.record({ do: fc.constant('turn' as const) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        const storage = new CoalescingStorage(new LocalState(), { label: 'demo/Thing/a', hasAlarm: true });
        const model = new Map<string, unknown>();
        for (const each of steps) {
          if (each.do === 'put') {
            model.set(each.key, each.value);
            void storage.put(each.key, each.value);
          } else if (each.do === 'delete') {
            model.delete(each.key);
            void storage.delete(each.key);
          } else if (each.do === 'batch') {
            for (const [name, value] of Object.entries(each.put)) model.set(name, value);
            void storage.batch({ put: each.put });
          } else if (each.do === 'turn') {
            await turn();
          } else if (each.do === 'get') {
            expect(await storage.get(each.key)).toEqual(model.get(each.key));
          } else {
            const wanted = [...model]
              .filter(([name]) => name.startsWith(each.prefix))
              .sort(([a], [b]) => (a < b ? -1 : 1));
            expect([...(await storage.list({ prefix: each.prefix }))]).toEqual(wanted);
          }
        }
      }),
    );
  });
});
