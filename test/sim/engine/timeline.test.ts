import './globals.js';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { EventQueue, type SimEvent } from './event-queue.js';
import { SeededRandom } from './seeded-random.js';
import { type SimHost, SimProcess } from './sim-process.js';
import { Timeline } from './timeline.js';

const host: SimHost = { name: 'h', monotonicOffsetMs: 5_000, rate: 1.01, wallOffsetMs: 0, isDown: false };

function begin(seed = 's'): { readonly timeline: Timeline; readonly process: SimProcess } {
  const timeline = new Timeline(new SeededRandom(seed), { isTraced: true });
  return { timeline, process: new SimProcess(timeline, 'p', host) };
}

test('events leave the queue by time, and those of one moment in the order of their coming', () => {
  const process = {} as SimProcess;
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 20 })), (times) => {
      const queue = new EventQueue();
      for (const [order, at] of times.entries()) queue.push({ at, order, process, kind: 'timer', task: null });
      const popped: SimEvent[] = [];
      for (let event = queue.pop(); event !== undefined; event = queue.pop()) popped.push(event);
      const expected = times.map((at, order) => ({ at, order })).sort((a, b) => a.at - b.at || a.order - b.order);
      expect(popped.map(({ at, order }) => ({ at, order }))).toEqual(expected);
    }),
  );
});

test('all promises of an event are settled before the next one, also over turns of the event loop', async () => {
  const { timeline, process } = begin();
  const seen: string[] = [];
  process.in(1, () => {
    void (async () => {
      for (let i = 0; i < 100; i += 1) await Promise.resolve();
      seen.push(`promises at ${timeline.now}`);
      await new Promise<void>((resolve) => setImmediate(resolve));
      seen.push(`a turn later ${timeline.now < 1.1}`);
      await process.clock.sleep(1_010);
      seen.push(`slept ${Math.round(timeline.now)}`);
    })();
  });
  process.in(1.5, () => seen.push('the next event'));
  await timeline.run(5_000, () => false);
  // Its clock is fast: 1010 ms of it are 1000 ms of true time.
  expect(seen).toEqual(['promises at 1', 'a turn later true', 'the next event', 'slept 1001']);
  expect(timeline.now).toBe(5_000);
});

test('what happens to a stopped process happens when it goes on, and never to a dead one', async () => {
  const { timeline, process } = begin();
  const other = new SimProcess(timeline, 'other', host);
  const seen: string[] = [];
  process.in(10, () => seen.push(`message at ${timeline.now}`));
  process.clock.after(5, () => seen.push(`timer at ${timeline.now}`));
  process.in(60, () => seen.push('too late'));
  other.in(1, () => process.stop());
  other.in(50, () => process.wake('messages-first'));
  other.in(55, () => process.kill());
  await timeline.run(100, () => false);
  expect(seen).toEqual(['message at 50', 'timer at 50']);
  expect(process.stoppedMs).toBe(49);
});

test('the trace differs with a single event, and the same happenings give the same one', async () => {
  const hashOf = async (delayMs: number, seed = 's'): Promise<string> => {
    const { timeline, process } = begin(seed);
    process.in(delayMs, () => timeline.note(process, 'seen', process.random.next()));
    await timeline.run(10, () => false);
    return timeline.hash;
  };
  expect(await hashOf(1)).toBe(await hashOf(1));
  expect(await hashOf(1)).not.toBe(await hashOf(1.000001));
  expect(await hashOf(1)).not.toBe(await hashOf(1, 't'));
});

test('what nobody catches is reported with the process in whose code it was', async () => {
  const { timeline, process } = begin();
  const reported: string[] = [];
  timeline.onUncaught = (error, who) => reported.push(`${who?.name}: ${(error as Error).message}`);
  process.in(1, () => {
    throw new Error('thrown');
  });
  process.in(2, () => void Promise.reject(new Error('rejected')));
  await timeline.run(10, () => false);
  expect(reported).toEqual(['p: thrown', 'p: rejected']);
});
