import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Batcher, isBatchError } from '../../src/common/batches.js';
import type { CallContext } from '../../src/common/context.js';
import { ManualClock } from '../manual-clock.js';

const contextOf = (signal = new AbortController().signal, deadline: number | null = null): CallContext =>
  ({ signal, deadline, chain: [] }) as unknown as CallContext;

interface Ran {
  readonly inputs: readonly unknown[];
  readonly context: CallContext;
  answer(answers: unknown): void;
  fail(error: unknown): void;
}

function batcherOf(options: { maxSize: number; waitMs: number }, mostAtOnce = 1) {
  const clock = new ManualClock();
  const ran: Ran[] = [];
  const run = (inputs: readonly unknown[], context: CallContext): Promise<unknown> =>
    new Promise((answer, fail) => ran.push({ inputs, context, answer, fail }));
  return { clock, ran, batcher: new Batcher({ label: 'a/B/c.d', options, mostAtOnce, clock, run }) };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('single calls', () => {
  test('begin together when they are enough, or when the first has waited long enough', async () => {
    const { clock, ran, batcher } = batcherOf({ maxSize: 3, waitMs: 10 }, 2);
    const answers = [1, 2, 3, 4].map((input) => batcher.add(input, contextOf()));
    expect(ran.map(({ inputs }) => inputs)).toEqual([[1, 2, 3]]);
    clock.advance(9);
    expect(ran.length).toBe(1);
    clock.advance(1);
    expect(ran.map(({ inputs }) => inputs)).toEqual([[1, 2, 3], [4]]);
    ran[0]?.answer(['a', 'b', 'c']);
    ran[1]?.answer(['d']);
    expect(await Promise.all(answers)).toEqual(['a', 'b', 'c', 'd']);
  });

  test('that come while as many batches run as may are the next ones, in their order', async () => {
    const { clock, ran, batcher } = batcherOf({ maxSize: 2, waitMs: 10 });
    const answers = [1, 2, 3, 4, 5].map((input) => batcher.add(input, contextOf()));
    clock.advance(100);
    expect(ran.length).toBe(1);
    ran[0]?.answer([1, 2]);
    await turn();
    expect(ran[1]?.inputs).toEqual([3, 4]);
    ran[1]?.answer([3, 4]);
    await turn();
    expect(ran[2]?.inputs).toEqual([5]);
    ran[2]?.answer([5]);
    expect(await Promise.all(answers)).toEqual([1, 2, 3, 4, 5]);
  });

  test('share a failure, and an answer of another length is one', async () => {
    const { ran, batcher } = batcherOf({ maxSize: 2, waitMs: 10 });
    const both = [1, 2].map((input) => batcher.add(input, contextOf()).catch((e: unknown) => e));
    const thrown = new Error('no');
    ran[0]?.fail(thrown);
    expect(await Promise.all(both)).toEqual([thrown, thrown]);
    expect(isBatchError(thrown)).toBe(false);
    for (const answer of [[1], 'no array', null, undefined]) {
      const wrong = [1, 2].map((input) => batcher.add(input, contextOf()).catch((e: unknown) => e));
      ran.at(-1)?.answer(answer);
      for (const error of await Promise.all(wrong)) {
        expect(error).toMatchObject({ code: 'InvalidArgument', outcome: 'ran' });
        expect(isBatchError(error)).toBe(true);
      }
    }
  });

  test('leave alone before their batch begins, and the batch is aborted when all have left', async () => {
    const { clock, ran, batcher } = batcherOf({ maxSize: 3, waitMs: 10 });
    const stops = [1, 2, 3].map(() => new AbortController());
    const calls = stops.map((stop, index) => batcher.add(index, contextOf(stop.signal)).catch((e: unknown) => e));
    // The batch of three has begun: nobody leaves it any more.
    stops[0]?.abort(new Error('first'));
    stops[1]?.abort(new Error('second'));
    expect(ran[0]?.context.signal.aborted).toBe(false);
    stops[2]?.abort(new Error('third'));
    expect(ran[0]?.context.signal.reason).toMatchObject({ message: 'third' });
    ran[0]?.answer([0, 1, 2]);
    expect(await Promise.all(calls)).toEqual([0, 1, 2]);
    const stop = new AbortController();
    const left = batcher.add('left', contextOf(stop.signal)).catch((e: unknown) => e);
    const kept = batcher.add('kept', contextOf());
    stop.abort(new Error('left'));
    expect(await left).toMatchObject({ message: 'left' });
    clock.advance(10);
    expect(ran[1]?.inputs).toEqual(['kept']);
    ran[1]?.answer(['kept']);
    expect(await kept).toBe('kept');
    const late = batcher.add('late', contextOf(stop.signal));
    await expect(late).rejects.toThrow('left');
  });

  test('have the time of the one who waits longest', () => {
    const { ran, batcher } = batcherOf({ maxSize: 2, waitMs: 10 }, 2);
    for (const deadline of [5, 7, 9, null]) void batcher.add(deadline, contextOf(undefined, deadline));
    expect(ran.map(({ context }) => context.deadline)).toEqual([7, null]);
  });

  test('each come to one batch, in order, whatever their times', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: 20 }), { maxLength: 40 }),
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 0, max: 15 }),
        async (pauses, maxSize, waitMs) => {
          const { clock, ran, batcher } = batcherOf({ maxSize, waitMs }, 2);
          const answers: Promise<unknown>[] = [];
          for (const [input, pauseMs] of pauses.entries()) {
            answers.push(batcher.add(input, contextOf()));
            clock.advance(pauseMs);
            if (pauseMs % 3 === 0) for (const { inputs, answer } of ran) answer(inputs);
            await Promise.resolve();
          }
          for (let ended = 0; ended < pauses.length; ) {
            clock.advance(waitMs);
            for (const { inputs, answer } of ran) answer(inputs);
            await turn();
            ended = ran.reduce((sum, { inputs }) => sum + inputs.length, 0);
          }
          for (const { inputs, answer } of ran) answer(inputs);
          expect(await Promise.all(answers)).toEqual(pauses.map((_, input) => input));
          expect(ran.flatMap(({ inputs }) => inputs)).toEqual(pauses.map((_, input) => input));
          expect(ran.every(({ inputs }) => inputs.length <= maxSize)).toBe(true);
        },
      ),
      { numRuns: 50 },
    );
  });
});
