import { expect, test } from 'vitest';
import type { LiveStore } from '../../../src/common/ports/live-store.js';
import type { StoreUnderTest } from '../store-contract.js';

let last = 0;

export function liveTests(context: () => StoreUnderTest): void {
  const fresh = (): { live: LiveStore; fs: { account: string; id: string } } => {
    last += 1;
    return { live: context().store.live, fs: { account: 'a:b', id: `fs${last}` } };
  };

  test('a commit is made where everything is as it was seen, and else not at all', async () => {
    const { live, fs } = fresh();
    const seen = (a: string | null) => [{ key: 'a', value: a }];
    expect(await live.read(fs, ['a', 'b'])).toEqual([null, null]);
    const both = [
      { key: 'a', value: '1' },
      { key: 'b', value: 'é{}:' },
    ];
    expect(await live.commit(fs, seen(null), both)).toBe(true);
    expect(await live.commit(fs, seen(null), [{ key: 'c', value: 'x' }])).toBe(false);
    expect(await live.commit(fs, [...seen('1'), { key: 'b', value: 'other' }], [{ key: 'c', value: 'x' }])).toBe(false);
    expect(await live.read(fs, ['c', 'b', 'a'])).toEqual([null, 'é{}:', '1']);
    expect(await live.commit(fs, both, [{ key: 'a', value: null }])).toBe(true);
    expect(await live.read(fs, ['a', 'b'])).toEqual([null, 'é{}:']);
    expect(await live.read({ ...fs, id: `${fs.id}0` }, ['b'])).toEqual([null]);
  });

  test('lists what begins alike, in pages, also what is in no alphabet', async () => {
    const { live, fs } = fresh();
    const keys = ['n/1/a', 'n/1/é', 'n/1/zz', 'n/1/日本', 'n/1/ÿ', 'n/10/x', 'm'];
    await live.commit(
      fs,
      [],
      keys.map((key) => ({ key, value: `of ${key}` })),
    );
    const found: string[] = [];
    for (let after: string | null = null; ; ) {
      const page = await live.list(fs, { prefix: 'n/1/', after, limit: 2 });
      for (const { key, value } of page) expect(value).toBe(`of ${key}`);
      found.push(...page.map(({ key }) => key));
      after = page.at(-1)?.key ?? null;
      if (page.length < 2 || after === null) break;
    }
    expect(found.toSorted()).toEqual(keys.slice(0, 5).toSorted());
  });

  test('of commits at once that have seen the same, one is made', async () => {
    const { live, fs } = fresh();
    const other = (await context().connect()).live;
    for (let round = 0; round < 10; round++) {
      const [now = null] = await live.read(fs, ['n']);
      const made = await Promise.all(
        [live, other, live].map((each, i) =>
          each.commit(fs, [{ key: 'n', value: now }], [{ key: 'n', value: `${round}.${i}` }]),
        ),
      );
      expect(made.filter((one) => one)).toHaveLength(1);
    }
  });
}
