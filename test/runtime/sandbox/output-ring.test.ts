import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { OutputBudget } from '../../../src/runtime/sandbox/guest/output-budget.js';
import { type OutputEvent, OutputRing } from '../../../src/runtime/sandbox/guest/output-ring.js';

const never = new AbortController().signal;

function printed(bytes: number, seed = 0): Buffer {
  return Buffer.from(Array.from({ length: bytes }, (_, at) => (at * 7 + seed) % 251));
}

async function readAll(ring: OutputRing, fromOffset = 0): Promise<OutputEvent[]> {
  const events: OutputEvent[] = [];
  for await (const event of ring.read(fromOffset, never)) events.push({ ...event, bytes: Buffer.from(event.bytes) });
  return events;
}

describe('the output of a process', () => {
  test('is read from any offset, in the order in which it was printed, in pieces of one stream', async () => {
    const writes = fc.array(
      fc.record({
        stream: fc.constantFrom('stdout' as const, 'stderr' as const),
        bytes: fc.uint8Array({ maxLength: 200 }),
      }),
    );
    await fc.assert(
      fc.asyncProperty(writes, fc.nat({ max: 3_000 }), async (given, fromOffset) => {
        const ring = new OutputRing(1_000_000, new OutputBudget(1_000_000));
        for (const { stream, bytes } of given) ring.add(stream, bytes);
        ring.close();
        const whole = Buffer.concat(given.map(({ bytes }) => bytes));
        const streams = given.flatMap(({ stream, bytes }) => Array.from(bytes, () => stream));
        let at = Math.min(fromOffset, whole.length);
        for (const { type, bytes, offset } of await readAll(ring, fromOffset)) {
          expect(offset).toBe(at);
          expect(Buffer.from(bytes)).toEqual(whole.subarray(at, at + bytes.length));
          expect(new Set(streams.slice(at, at + bytes.length))).toEqual(new Set([type]));
          at += bytes.length;
        }
        expect(at).toBe(whole.length);
      }),
    );
  });

  test('is kept up to its bound, the newest of it, and the offsets tell what is gone', async () => {
    const budget = new OutputBudget(1_000_000);
    const ring = new OutputRing(100_000, budget);
    for (let piece = 0; piece < 50; piece += 1) ring.add('stdout', printed(10_000, piece));
    ring.close();
    const events = await readAll(ring);
    const first = events[0]?.offset ?? 0;
    const bytes = events.reduce((sum, event) => sum + event.bytes.length, 0);
    expect(first + bytes).toBe(500_000);
    expect(bytes).toBeLessThanOrEqual(100_000);
    expect(bytes).toBeGreaterThan(80_000);
    expect(ring.hasDropped).toBe(true);
  });

  test('has its end whatever the pieces are in which it came, also those that are larger than its bound', async () => {
    const whole = printed(40_000);
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 30_000 })),
        fc.nat({ max: 5_000 }),
        async (cuts, maxBytes) => {
          const budget = new OutputBudget(1_000_000);
          const ring = new OutputRing(maxBytes, budget);
          let at = 0;
          for (const size of [...cuts, whole.length]) {
            ring.add('stdout', whole.subarray(at, at + size));
            at = Math.min(whole.length, at + size);
          }
          ring.close();
          const events = await readAll(ring);
          const kept = Buffer.concat(events.map(({ bytes }) => bytes));
          expect(kept.equals(whole.subarray(whole.length - kept.length))).toBe(true);
          expect(kept.length).toBeLessThanOrEqual(maxBytes);
          expect(kept.length).toBeGreaterThanOrEqual(Math.floor((maxBytes * 3) / 4) - 1);
          ring.drop();
          expect(budget.take(1_000_000)).toBe(true);
        },
      ),
    );
  });

  test('gives way where the session has no room for it', async () => {
    const budget = new OutputBudget(50_000);
    const one = new OutputRing(1_000_000, budget);
    const two = new OutputRing(1_000_000, budget);
    one.add('stdout', printed(40_000));
    for (let piece = 0; piece < 20; piece += 1) two.add('stdout', printed(5_000, piece));
    two.close();
    const kept = (await readAll(two)).reduce((sum, event) => sum + event.bytes.length, 0);
    expect(kept).toBeLessThanOrEqual(10_000);
    one.drop();
    expect(budget.take(50_000 - kept)).toBe(true);
  });

  test('is read while it is printed, by several at their own pace', async () => {
    const ring = new OutputRing(1_000_000, new OutputBudget(1_000_000));
    const early = readAll(ring);
    ring.add('stdout', Buffer.from('one'));
    const [first] = [await ring.read(0, never).next()];
    expect(first.value).toMatchObject({ type: 'stdout', offset: 0 });
    ring.add('stderr', Buffer.from('two'));
    ring.close();
    expect((await early).map(({ type, bytes }) => [type, String(bytes)])).toEqual([
      ['stdout', 'one'],
      ['stderr', 'two'],
    ]);
    expect((await readAll(ring, 3)).map(({ offset }) => offset)).toEqual([3]);
  });

  test('lets a reader go that does not want to wait', async () => {
    const ring = new OutputRing(1_000, new OutputBudget(1_000));
    const left = new AbortController();
    const step = ring.read(0, left.signal).next();
    left.abort(new Error('left'));
    await expect(step).rejects.toThrow('left');
  });
});
