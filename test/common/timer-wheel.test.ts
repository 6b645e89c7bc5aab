import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Timer } from '../../src/common/clock.js';
import { TimerWheel } from '../../src/common/timer-wheel.js';
import { ManualClock } from '../manual-clock.js';

describe('TimerWheel', () => {
  it('is never early and at most one tick late, with one timer for any number of entries', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 5_000 }), { minLength: 1 }),
        fc.integer({ min: 1, max: 700 }),
        (delays, stepMs) => {
          const clock = new ManualClock();
          const wheel = new TimerWheel(clock, 10);
          const start = clock.monotonic();
          const due: [delay: number, after: number][] = [];
          for (const delay of delays) wheel.add(delay, () => due.push([delay, clock.monotonic() - start]));
          expect(clock.timers).toBe(1);
          while (clock.timers > 0) clock.advance(stepMs);
          expect(due).toHaveLength(delays.length);
          for (const [delay, after] of due) {
            expect(after).toBeGreaterThanOrEqual(delay);
            expect(after).toBeLessThanOrEqual(delay + 20);
          }
        },
      ),
    );
  });

  it('does not run an entry that was removed, even by another one of the same turn', () => {
    const clock = new ManualClock();
    const wheel = new TimerWheel(clock, 10);
    const ran: string[] = [];
    wheel.add(5, () => {
      ran.push('first');
      wheel.remove(second);
    });
    const second = wheel.add(5, () => ran.push('second'));
    clock.advance(100);
    expect(ran).toEqual(['first']);
  });

  it('runs what was late when it was added at its next turn, however many others there are', () => {
    const clock = new ManualClock();
    const wheel = new TimerWheel(clock, 10);
    for (let ms = 10; ms < 10_000; ms += 10) wheel.add(ms, () => undefined);
    clock.advance(500);
    let ran = 0;
    wheel.add(-300, () => {
      ran += 1;
    });
    clock.advance(20);
    expect(ran).toBe(1);
  });

  it('holds no timer while it is empty', () => {
    const clock = new ManualClock();
    const wheel = new TimerWheel(clock, 10);
    wheel.remove(wheel.add(50, () => undefined));
    clock.advance(100);
    expect(clock.timers).toBe(0);
  });

  it('wakes once a second at most while what it holds is far away', () => {
    const clock = new CountingClock();
    const wheel = new TimerWheel(clock, 10);
    wheel.add(60_000, () => undefined);
    clock.advance(59_000);
    expect(clock.woken).toBeLessThanOrEqual(59);
  });

  it('is on time with what is added while it waits for something later, and with that', () => {
    const clock = new ManualClock();
    const wheel = new TimerWheel(clock, 10);
    const start = clock.monotonic();
    const due: number[] = [];
    for (const ms of [60_000, 500, 30]) wheel.add(ms, () => due.push(clock.monotonic() - start));
    expect(clock.timers).toBe(1);
    clock.advance(61_000);
    expect(due).toEqual([40, 510, 60_010]);
  });
});

class CountingClock extends ManualClock {
  woken = 0;

  override after(ms: number, task: () => void): Timer {
    return super.after(ms, () => {
      this.woken += 1;
      task();
    });
  }
}
