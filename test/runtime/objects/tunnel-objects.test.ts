import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { HoldfastError } from '../../../src/common/errors.js';
import { TunnelObjects } from '../../../src/runtime/container/tunnel-objects.js';
import {
  objectPieceBytes,
  objectRangeBytes,
  readObjectPiece,
  readObjectRange,
} from '../../../src/wire/frames/object-bodies.js';
import { ManualClock } from '../../manual-clock.js';
import { turns, until } from '../until.js';

const hashOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

interface Asked {
  readonly method: string;
  readonly request: Uint8Array;
  readonly timeoutMs: number;
  answer(bytes: Uint8Array): void;
  refuse(error: Error): void;
}

/** A worker that answers when a test says so, and the objects of a container that asks it. */
function world() {
  const asked: Asked[] = [];
  const clock = new ManualClock();
  const objects = new TunnelObjects(
    (method, request, { timeoutMs }) =>
      new Promise((answer, refuse) => asked.push({ method, request, timeoutMs, answer, refuse })),
    clock,
  );
  return { asked, clock, objects };
}

/** Of a stored object, as the worker answers one request for a part of it. */
function part(stored: Uint8Array, request: Uint8Array): Uint8Array {
  const { offset, length } = readObjectRange(request);
  return stored.subarray(offset, offset + length);
}

describe('the objects that a container has moved by its worker', () => {
  it('are read range by range, each asked for when the one before has come, to one that is shorter', async () => {
    for (const [size, requests] of [
      [0, 1],
      [objectRangeBytes - 1, 1],
      [objectRangeBytes, 2],
      [2 * objectRangeBytes + 5, 3],
    ] as const) {
      const { asked, objects } = world();
      const stored = Buffer.alloc(size, 'stored');
      const got = objects.get(hashOf(stored), { timeoutMs: 1_000 });
      for (let i = 0; i < requests; i += 1) {
        await until(() => asked.length === i + 1);
        await turns(3);
        expect(asked).toHaveLength(i + 1);
        expect(readObjectRange(asked[i]?.request as Uint8Array)).toEqual({
          ...{ hash: hashOf(stored), offset: i * objectRangeBytes, length: objectRangeBytes },
        });
        asked[i]?.answer(part(stored, asked[i]?.request as Uint8Array));
      }
      expect(Buffer.compare((await got) as Uint8Array, stored)).toBe(0);
      expect(asked).toHaveLength(requests);
    }
  });

  it('that are not there are null, and another refusal is told', async () => {
    const { asked, objects } = world();
    const missing = objects.get('0'.repeat(64), { timeoutMs: 1_000 });
    asked[0]?.refuse(new HoldfastError('NotFound', 'not there'));
    expect(await missing).toBeNull();
    const refused = objects.get('0'.repeat(64), { timeoutMs: 1_000 });
    await until(() => asked.length === 2);
    asked[1]?.refuse(new HoldfastError('Unavailable', 'away'));
    await expect(refused).rejects.toMatchObject({ code: 'Unavailable' });
  });

  it('are six at once, up and down together; whoever ends, also with an error, lets the next one in', async () => {
    const { asked, objects } = world();
    const bytes = Buffer.from('short');
    const moved = Array.from({ length: 9 }, (_, i) =>
      i % 2 === 0
        ? objects.put(hashOf(bytes), bytes, { timeoutMs: 1_000 })
        : objects.get(hashOf(bytes), { timeoutMs: 1_000 }),
    );
    const ends = Promise.allSettled(moved);
    await turns(5);
    expect(asked).toHaveLength(6);
    asked[0]?.answer(Buffer.alloc(0));
    await until(() => asked.length === 7);
    asked[1]?.refuse(new HoldfastError('Unavailable', 'away'));
    await until(() => asked.length === 8);
    await turns(5);
    expect(asked).toHaveLength(8);
    for (let i = 2; i < 9; i += 1) {
      await until(() => asked.length > i);
      asked[i]?.answer(bytes);
    }
    expect((await ends).map(({ status }) => status)).toEqual(moved.map((_, i) => (i === 1 ? 'rejected' : 'fulfilled')));
  });

  it('have each piece what is left of their time, a minute at most, and end when it is over', async () => {
    const { asked, clock, objects } = world();
    const bytes = Buffer.alloc(3 * objectPieceBytes, 'up');
    const sent = objects.put(hashOf(bytes), bytes, { timeoutMs: 100_000 });
    for (const [i, passedMs] of [50_000, 49_999].entries()) {
      await until(() => asked.length === i + 1);
      clock.advance(passedMs);
      asked[i]?.answer(Buffer.alloc(0));
    }
    await until(() => asked.length === 3);
    expect(asked.map(({ timeoutMs }) => timeoutMs)).toEqual([60_000, 50_000, 1]);
    clock.advance(1);
    asked[2]?.answer(Buffer.alloc(0));
    await sent;
    const read = objects.get(hashOf(bytes), { timeoutMs: 1_000 });
    await until(() => asked.length === 4);
    clock.advance(1_000);
    asked[3]?.answer(Buffer.alloc(objectRangeBytes));
    await expect(read).rejects.toMatchObject({ code: 'DeadlineExceeded' });
  });

  it('that wait for their turn until their time is over ask nobody', async () => {
    const { asked, clock, objects } = world();
    const bytes = Buffer.from('short');
    const first = Array.from({ length: 6 }, () => objects.get(hashOf(bytes), { timeoutMs: 60_000 }));
    const late = objects.get(hashOf(bytes), { timeoutMs: 1_000 });
    await turns(3);
    clock.advance(1_000);
    for (const one of asked) one.answer(bytes);
    await Promise.all(first);
    await expect(late).rejects.toMatchObject({ code: 'DeadlineExceeded' });
    expect(asked).toHaveLength(6);
  });

  it('that break off on their way up say so by a piece that fits nowhere; one of a single piece has nothing to say', async () => {
    const { asked, objects } = world();
    const long = Buffer.alloc(objectPieceBytes + 1, 'up');
    const sent = objects.put(hashOf(long), long, { timeoutMs: 1_000 });
    asked[0]?.answer(Buffer.alloc(0));
    await until(() => asked.length === 2);
    asked[1]?.refuse(new HoldfastError('Unavailable', 'away'));
    await expect(sent).rejects.toMatchObject({ code: 'Unavailable' });
    const [first, , last] = asked.map(({ request }) => readObjectPiece(request));
    expect(last).toMatchObject({ upload: first?.upload, offset: long.length, bytes: Buffer.alloc(0) });
    const short = objects.put(hashOf(Buffer.from('s')), Buffer.from('s'), { timeoutMs: 1_000 });
    await until(() => asked.length === 4);
    asked[3]?.refuse(new HoldfastError('Unavailable', 'away'));
    await expect(short).rejects.toMatchObject({ code: 'Unavailable' });
    await turns(3);
    expect(asked).toHaveLength(4);
  });
});
