import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Turns } from '../../../src/runtime/sandbox/turns.js';

test('so many work at once, all have their turn, in their order, whoever fails', async () => {
  const works = fc.array(fc.record({ ticks: fc.nat(5), fails: fc.boolean() }), { maxLength: 30 });
  await fc.assert(
    fc.asyncProperty(works, fc.integer({ min: 1, max: 4 }), async (all, most) => {
      const turns = new Turns(most);
      const began: number[] = [];
      let busy = 0;
      const work = async (index: number, { ticks, fails }: { ticks: number; fails: boolean }) => {
        began.push(index);
        busy += 1;
        expect(busy).toBeLessThanOrEqual(most);
        for (let tick = 0; tick < ticks; tick += 1) await Promise.resolve();
        busy -= 1;
        if (fails) throw new Error('it fails');
      };
      const ends = await Promise.allSettled(all.map((each, index) => turns.take(() => work(index, each))));
      expect(ends.map(({ status }) => status === 'rejected')).toEqual(all.map(({ fails }) => fails));
      expect(began).toEqual(all.map((_, index) => index));
      expect(await turns.take(async () => 'free')).toBe('free');
    }),
  );
});
