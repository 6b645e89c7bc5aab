import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { StateCommit } from '../../../src/common/ports/state-store.js';
import { type PoolCommit, PoolCommits } from '../../../src/runtime/pool/pool-commits.js';

const bytes = (value: number): Uint8Array => Uint8Array.of(value);
const put = (key: string, value: number): PoolCommit => ({ changes: [{ key, value: bytes(value) }] });

/** A store that answers when it is told to. */
function store() {
  const asked: StateCommit[] = [];
  const waiting: { readonly resolve: (answer: string) => void; readonly reject: (error: unknown) => void }[] = [];
  const make = (commit: StateCommit): Promise<string> => {
    asked.push(commit);
    return new Promise((resolve, reject) => waiting.push({ resolve, reject }));
  };
  return { asked, waiting, make };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('the commits of the containers of a pool', () => {
  test('are one at a time; what is written meanwhile is the next one, with a number of its own', async () => {
    const commits = new PoolCommits<string>();
    const { asked, waiting, make } = store();
    const first = [commits.add(put('a', 1), make), commits.add(put('b', 2), make)];
    await turn();
    expect(asked.map(({ sequence, changes }) => [sequence, changes.map(({ key }) => key)])).toEqual([[1, ['a', 'b']]]);
    const second = [commits.add(put('c', 3), make), commits.add({ ...put('a', 4), alarm: 7 }, make)];
    await turn();
    expect(asked.length).toBe(1);
    waiting[0]?.resolve('committed');
    expect(await Promise.all(first)).toEqual(['committed', 'committed']);
    await turn();
    expect(asked[1]).toEqual({ sequence: 2, changes: [...put('c', 3).changes, ...put('a', 4).changes], alarm: 7 });
    waiting[1]?.resolve('stale');
    expect(await Promise.all(second)).toEqual(['stale', 'stale']);
  });

  test('that are refused fail for those whose they were, and for nobody after them', async () => {
    const commits = new PoolCommits<string>();
    const { asked, waiting, make } = store();
    const refused = Promise.allSettled([commits.add(put('a', 1), make), commits.add(put('b', 2), make)]);
    await turn();
    const next = commits.add(put('c', 3), make);
    waiting[0]?.reject(new Error('no permission'));
    for (const outcome of await refused) expect(outcome).toMatchObject({ reason: { message: 'no permission' } });
    await turn();
    expect(asked[1]?.sequence).toBe(2);
    waiting[1]?.resolve('committed');
    expect(await next).toBe('committed');
  });

  test('are whole, and as large as a commit may be at most', async () => {
    const commits = new PoolCommits<string>();
    const { asked, waiting, make } = store();
    const half = new Uint8Array(500_000);
    const large = ['a', 'b', 'c', 'd', 'e'].map((key) => commits.add({ changes: [{ key, value: half }] }, make));
    for (let made = 0; made < 3; made += 1) {
      await turn();
      waiting[made]?.resolve('committed');
    }
    await Promise.all(large);
    expect(asked.map(({ changes }) => changes.map(({ key }) => key))).toEqual([['a', 'b'], ['c', 'd'], ['e']]);
  });

  test('leave in the store what they would one by one, each key once in a commit', async () => {
    const change = fc.record({
      key: fc.constantFrom('a', 'b', 'c'),
      value: fc.option(fc.integer({ min: 0, max: 255 }).map(bytes)),
    });
    const commit = fc.record({
      changes: fc.uniqueArray(change, { maxLength: 3, selector: ({ key }) => key }),
      alarm: fc.constantFrom(undefined, null, 1, 2),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(commit, fc.boolean()), { maxLength: 12 }), async (written) => {
        const commits = new PoolCommits<string>();
        const apply = (state: Map<string, unknown>, { changes, alarm }: PoolCommit): void => {
          for (const { key, value } of changes) state.set(key, value);
          if (alarm !== undefined) state.set('the alarm', alarm);
        };
        const [made, wanted] = [new Map<string, unknown>(), new Map<string, unknown>()];
        let last = 0;
        const make = async (merged: StateCommit): Promise<string> => {
          await turn();
          expect(merged.sequence).toBe(++last);
          expect(new Set(merged.changes.map(({ key }) => key)).size).toBe(merged.changes.length);
          apply(made, merged);
          return 'committed';
        };
        const answers: Promise<string>[] = [];
        for (const [each, isLater] of written) {
          if (isLater) await turn();
          apply(wanted, each);
          answers.push(commits.add(each, make));
        }
        await Promise.all(answers);
        expect(made).toEqual(wanted);
      }),
      { numRuns: 60 },
    );
  });
});
