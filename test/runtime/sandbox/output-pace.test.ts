import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { OutputPace } from '../../../src/runtime/sandbox/guest/output-pace.js';
import { ManualClock } from '../../manual-clock.js';

const megabyte = 1_048_576;
const burst = 16 * megabyte;

function printer() {
  const printed = {
    paid: 0,
    acknowledge: (bytes: number) => {
      printed.paid += bytes;
    },
  };
  return printed;
}

describe('output that no reader paces', () => {
  test('is paid for at once, up to a burst', () => {
    const pace = new OutputPace(new ManualClock());
    const one = printer();
    for (let sent = 0; sent < burst; sent += megabyte) pace.taken(one, megabyte);
    expect(one.paid).toBe(burst);
  });

  test('goes on at a rate after that', () => {
    const clock = new ManualClock();
    const pace = new OutputPace(clock);
    const flood = printer();
    pace.taken(flood, burst);
    // Its window: it prints as soon as it may.
    let printed = burst + megabyte;
    pace.taken(flood, megabyte);
    for (let ms = 0; ms < 1_000; ms += 10) {
      clock.advance(10);
      const more = flood.paid - (printed - megabyte);
      printed += more;
      if (more > 0) pace.taken(flood, more);
    }
    expect(flood.paid - burst).toBeGreaterThan(15 * megabyte);
    expect(flood.paid - burst).toBeLessThan(17 * megabyte);
  });

  test('of one that floods does not hold up another', () => {
    const clock = new ManualClock();
    const pace = new OutputPace(clock);
    const [flood, quiet] = [printer(), printer()];
    pace.taken(flood, burst);
    pace.taken(flood, 8 * megabyte);
    pace.taken(quiet, 30_000);
    clock.advance(10);
    expect(quiet.paid).toBe(30_000);
    expect(flood.paid).toBeLessThan(burst + megabyte);
  });

  test('is paid for in the end, to the byte', () => {
    const taking = fc.tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 1, max: 20 * megabyte }), fc.nat(30));
    fc.assert(
      fc.property(fc.array(taking, { maxLength: 40 }), (takings) => {
        const clock = new ManualClock();
        const pace = new OutputPace(clock);
        const printers = Array.from({ length: 4 }, printer);
        const owed = [0, 0, 0, 0];
        for (const [who, bytes, ms] of takings) {
          pace.taken(printers[who] as (typeof printers)[number], bytes);
          owed[who] = (owed[who] as number) + bytes;
          clock.advance(ms);
        }
        clock.advance(120_000);
        expect(printers.map(({ paid }) => paid)).toEqual(owed);
      }),
      { numRuns: 50 },
    );
  });
});
