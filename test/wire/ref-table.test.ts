import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { RefTable } from '../../src/wire/frames/ref-table.js';

describe('a table of refs', () => {
  test('has what a Map would have, whatever numbers come and go', () =>
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            ref: fc.oneof(
              fc.nat(300),
              fc.nat(300).map((n) => n * 64),
              fc.maxSafeNat(),
            ),
            op: fc.constantFrom('set' as const, 'set' as const, 'delete' as const, 'clear' as const),
          }),
          { maxLength: 600, size: 'max' },
        ),
        (steps) => {
          const table = new RefTable<number>();
          const map = new Map<number, number>();
          for (const [step, { ref, op }] of steps.entries()) {
            if (op === 'set') {
              table.set(ref, step);
              map.set(ref, step);
            } else if (op === 'delete') {
              expect(table.delete(ref)).toBe(map.delete(ref));
            } else if (step % 50 === 0) {
              table.clear();
              map.clear();
            }
            expect([table.size, table.has(ref), table.get(ref)]).toEqual([map.size, map.has(ref), map.get(ref)]);
          }
          expect(table.values()).toEqual([...map].sort(([a], [b]) => a - b).map(([, item]) => item));
        },
      ),
    ));

  test('keeps what it has while it gives back, bit by bit, what a burst needed', () => {
    const table = new RefTable<number>();
    const burst = 5_000;
    for (let ref = 1; ref <= burst; ref++) table.set(ref, ref);
    for (let ref = 1; ref <= burst; ref++) table.delete(ref);
    for (let ref = burst + 1; ref < burst + 2_000; ref += 3) {
      const three = [ref, ref + 1, ref + 2];
      for (const each of three) table.set(each, each);
      expect(table.values()).toEqual(three);
      for (const each of three) expect(table.delete(each)).toBe(true);
      expect(table.size).toBe(0);
    }
  });
});
