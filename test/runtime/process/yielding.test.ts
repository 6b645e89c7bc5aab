import { expect, test } from 'vitest';
import { keepYielding } from '../../../src/runtime/process/yielding.js';
import { ManualClock } from '../../manual-clock.js';

const lookMs = 250;

/** A group that uses what the test says, and what it was told at each look. */
function watched() {
  const clock = new ManualClock();
  const told: boolean[] = [];
  let usedMs = 7_000;
  const stop = keepYielding({ usedMs: () => usedMs, giveWay: (wholly) => told.push(wholly) }, clock, () => undefined);
  const use = (ms: number): void => {
    usedMs += ms;
    clock.advance(lookMs);
  };
  return { told, use, stop, clock };
}

test('what uses a tenth of a core gives way, and what uses less has its share', () => {
  const { told, use } = watched();
  for (const ms of [0, 24, 25, 400, 3]) use(ms);
  expect(told).toEqual([false, false, true, true, false]);
});

test('what starves has its share at every second look', () => {
  const { told, use } = watched();
  for (let look = 0; look < 6; look += 1) use(told.at(-1) === false ? 100 : 0);
  expect(told).toEqual([false, true, false, true, false, true]);
});

test('a group that was made anew counts from nothing', () => {
  const { told, use } = watched();
  use(100);
  use(-7_100);
  use(100);
  expect(told).toEqual([true, false, true]);
});

test('has its share in the end, and nobody looks after that', () => {
  const { told, use, stop } = watched();
  use(100);
  stop();
  use(100);
  expect(told).toEqual([true, false]);
});
