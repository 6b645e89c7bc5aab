import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HoldfastError } from '../../src/common/errors.js';
import { Limits } from '../../src/sdk/calls/call-limits.js';
import { MapCalls, type MapParts } from '../../src/sdk/functions/map-calls.js';
import { ManualClock } from '../manual-clock.js';

function mapOf(parts: Pick<MapParts, 'inputs' | 'call'> & Partial<MapParts>): MapCalls {
  return new MapCalls({ options: {}, window: 8, clock: new ManualClock(), ...parts });
}

async function all(values: AsyncIterable<unknown>): Promise<unknown[]> {
  const taken: unknown[] = [];
  for await (const value of values) taken.push(value);
  return taken;
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('the map of a function', () => {
  test.each([true, false])('holds no more than its window of 100 000 inputs (ordered: %s)', async (ordered) => {
    let taken = 0;
    let read = 0;
    let mostAhead = 0;
    let underWay = 0;
    let mostUnderWay = 0;
    function* inputs(): Generator<number> {
      for (; taken < 100_000; taken += 1) {
        mostAhead = Math.max(mostAhead, taken - read);
        yield taken;
      }
    }
    const call = async (input: unknown): Promise<unknown> => {
      underWay += 1;
      mostUnderWay = Math.max(mostUnderWay, underWay);
      await Promise.resolve();
      underWay -= 1;
      return input;
    };
    const results = mapOf({ inputs: inputs(), call, options: { ordered }, window: 64 });
    expect(taken).toBe(0);
    for await (const result of results) {
      if (ordered && result !== read) throw new Error(`${read} came as ${String(result)}`);
      read += 1;
    }
    expect(read).toBe(100_000);
    expect(mostAhead).toBeLessThanOrEqual(64);
    expect(mostUnderWay).toBeLessThanOrEqual(64);
  });

  test.each([true, false])('keeps nothing of what was read of 100 000 inputs (ordered: %s)', async (ordered) => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const kept: WeakRef<object>[] = [];
    function* inputs(): Generator<object> {
      for (let number = 0; number < 100_000; number += 1) {
        const input = { number };
        if (number % 100 === 0) kept.push(new WeakRef(input));
        yield input;
      }
    }
    const results = mapOf({ inputs: inputs(), call: async (input) => ({ input }), options: { ordered }, window: 64 });
    let read = 0;
    for await (const _ of results) {
      read += 1;
      if (read % 25_000 > 0) continue;
      // What a turn has looked at stays until its end.
      await turn();
      collect();
      expect(kept.length).toBeGreaterThan(read / 100 - 1);
      expect(kept.filter((input) => input.deref() !== undefined).length).toBeLessThan(8);
    }
    expect(read).toBe(100_000);
  });

  test('gives every result once, in order or not, whatever the order in which calls end', async () => {
    const calls = fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 30 });
    await fc.assert(
      fc.asyncProperty(calls, fc.boolean(), fc.integer({ min: 1, max: 7 }), async (turns, ordered, window) => {
        const call = async (index: unknown): Promise<unknown> => {
          for (let left = turns[index as number] ?? 0; left > 0; left -= 1) await turn();
          return index;
        };
        const found = await all(mapOf({ inputs: turns.keys(), call, options: { ordered }, window }));
        const expected = [...turns.keys()];
        expect(ordered ? found : found.toSorted((a, b) => Number(a) - Number(b))).toEqual(expected);
      }),
      { numRuns: 40 },
    );
  });

  test('comes back where too many wait, and takes nothing for a failure that is none', async () => {
    const clock = new ManualClock();
    let refusals = 2;
    const call = async (input: unknown): Promise<unknown> => {
      if (refusals-- <= 0) return input;
      throw new HoldfastError('PendingLimitExceeded', 'full', { details: { retryAfterMs: 100 } });
    };
    const results = all(mapOf({ inputs: [7], call, clock }));
    for (let step = 0; step < 3; step += 1) {
      await turn();
      clock.advance(100);
    }
    expect(await results).toEqual([7]);
  });

  test('stops its calls and its inputs when its signal is aborted, and not with the next read', async () => {
    const clock = new ManualClock();
    const abort = new AbortController();
    const signals: AbortSignal[] = [];
    const taken: number[] = [];
    let isClosed = false;
    async function* inputs(): AsyncGenerator<number> {
      try {
        for (let input = 0; ; input += 1) {
          taken.push(input);
          yield input;
        }
      } finally {
        isClosed = true;
      }
    }
    const call = (input: unknown, signal: AbortSignal): Promise<unknown> => {
      signals.push(signal);
      return input === 0 ? Promise.resolve(0) : new Promise(() => undefined);
    };
    const limits = (): Limits | undefined => Limits.of(clock, 'a map', { signal: abort.signal });
    const results = mapOf({ inputs: inputs(), call, clock, limits, window: 3 });
    expect(await results.next()).toEqual({ done: false, value: 0 });
    await turn();
    const before = taken.length;
    abort.abort();
    await turn();
    expect(signals.every(({ aborted }) => aborted)).toBe(true);
    expect([isClosed, taken.length]).toEqual([true, before]);
    await expect(results.next()).rejects.toMatchObject({ code: 'Cancelled' });
    expect(await results.next()).toEqual({ done: true, value: undefined });
  });

  test('is over at once when its reader leaves, although its inputs do not answer', async () => {
    let isClosed = false;
    let stopped: AbortSignal | null = null;
    const inputs = {
      [Symbol.asyncIterator]: () => ({
        count: 0,
        next(): Promise<IteratorResult<number>> {
          this.count += 1;
          return this.count > 1 ? new Promise(() => undefined) : Promise.resolve({ done: false, value: 1 });
        },
        return(): Promise<IteratorResult<number>> {
          isClosed = true;
          return new Promise(() => undefined);
        },
      }),
    };
    const call = (_input: unknown, signal: AbortSignal): Promise<unknown> => {
      stopped = signal;
      return new Promise(() => undefined);
    };
    const results = mapOf({ inputs, call });
    const first = results.next();
    await turn();
    expect(await results.return()).toEqual({ done: true, value: undefined });
    expect(await first).toEqual({ done: true, value: undefined });
    expect(isClosed).toBe(true);
    expect((stopped as AbortSignal | null)?.aborted).toBe(true);
    expect(await results.next()).toEqual({ done: true, value: undefined });
  });
});
