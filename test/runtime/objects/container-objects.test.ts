import { createHash, randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { HoldfastError } from '../../../src/common/errors.js';
import { TunnelObjects } from '../../../src/runtime/container/tunnel-objects.js';
import { ByteRoom } from '../../../src/runtime/objects/byte-room.js';
import { ContainerObjects } from '../../../src/runtime/objects/container-objects.js';
import { encodeBody } from '../../../src/wire/frames/frame-bodies.js';
import { objectPieceBytes, objectRangeBytes } from '../../../src/wire/frames/object-bodies.js';
import { ManualClock } from '../../manual-clock.js';
import { turns } from '../until.js';

const mebibyte = 1_048_576;
const hashes = new WeakMap<Uint8Array, string>();
const hashOf = (bytes: Uint8Array): string => {
  const hash = hashes.get(bytes) ?? createHash('sha256').update(bytes).digest('hex');
  hashes.set(bytes, hash);
  return hash;
};
const isSame = (a: Uint8Array | null | undefined, b: Uint8Array) => a != null && Buffer.compare(a, b) === 0;
const keyOf = (bytes: Uint8Array, account = 'mine') =>
  `volumes/${account}/${hashOf(bytes).slice(0, 2)}/${hashOf(bytes)}`;
const never = new AbortController().signal;

function world(roomBytes = 256 * mebibyte) {
  const stored = new Map<string, Uint8Array>();
  const clock = new ManualClock();
  const held: (() => void)[] = [];
  const objects = {
    isSlow: false,
    async put(key: string, bytes: Uint8Array): Promise<void> {
      if (this.isSlow) await new Promise<void>((resolve) => held.push(resolve));
      stored.set(key, Uint8Array.from(bytes));
    },
    async getRange(key: string, offset: number, length: number): Promise<Uint8Array | null> {
      if (this.isSlow) await new Promise<void>((resolve) => held.push(resolve));
      return stored.get(key)?.subarray(offset, offset + length) ?? null;
    },
  };
  const room = new ByteRoom(roomBytes);
  const container = () => new ContainerObjects({ objects, account: 'mine', room, clock });
  return { stored, clock, objects, container, held };
}

let lastUpload = 0;

function piece(bytes: Uint8Array, offset: number, given: Record<string, unknown> = {}) {
  const end = Math.min(bytes.length, offset + objectPieceBytes);
  const body = { upload: lastUpload, hash: hashOf(bytes), totalBytes: bytes.length, offset };
  return encodeBody({ ...body, bytes: bytes.subarray(offset, end), ...given });
}

async function put(to: ContainerObjects, bytes: Uint8Array, signal = never): Promise<void> {
  const upload = ++lastUpload;
  for (let at = 0; at === 0 || at < bytes.length; at += objectPieceBytes)
    await to.answer('PutObject', piece(bytes, at, { upload }), signal);
}

async function codeOf(asked: Promise<unknown> | null): Promise<unknown> {
  return await (asked ?? Promise.resolve('no answer')).then(
    () => 'done',
    (error: HoldfastError) => error.code,
  );
}

describe('the objects of a container', () => {
  it('are stored in the folder of its account, whole, and read in parts', async () => {
    const { stored, container } = world();
    const own = container();
    const bytes = randomBytes(3 * mebibyte + 5);
    for (const each of [bytes, Buffer.alloc(0), Buffer.alloc(objectPieceBytes, 'x')]) {
      await put(own, each);
      expect(isSame(stored.get(keyOf(each)), each)).toBe(true);
    }
    expect([...stored.keys()].every((key) => key.startsWith('volumes/mine/'))).toBe(true);
    const range = (offset: number, length: number) =>
      own.answer('GetObject', encodeBody({ hash: hashOf(bytes), offset, length }), never);
    expect(isSame(await range(2 * mebibyte, objectRangeBytes), bytes.subarray(2 * mebibyte))).toBe(true);
    expect(isSame(await range(10, 5), bytes.subarray(10, 15))).toBe(true);
  });

  it('of another account are not there, nor is anything else of the object store', async () => {
    const { stored, container } = world();
    const theirs = Buffer.from('theirs');
    stored.set(keyOf(theirs, 'theirs'), theirs);
    stored.set('bundles/x', theirs);
    const ask = (hash: string, more = {}) => encodeBody({ hash, offset: 0, length: 9, ...more });
    const own = container();
    expect(await codeOf(own.answer('GetObject', ask(hashOf(theirs)), never))).toBe('NotFound');
    for (const hash of [
      '../../bundles/x',
      `../theirs/${hashOf(theirs).slice(0, 2)}/${hashOf(theirs)}`,
      '',
      'A'.repeat(64),
    ])
      expect(await codeOf(own.answer('GetObject', ask(hash), never))).toBe('InvalidArgument');
    for (const more of [{ length: 0 }, { length: objectRangeBytes + 1 }, { offset: -1 }, { offset: 0.5 }])
      expect(await codeOf(own.answer('GetObject', ask(hashOf(theirs), more), never))).toBe('InvalidArgument');
    expect(own.answer('SignObjects', Buffer.alloc(0), never)).toBeNull();
  });

  it('are refused where they are not what they are said to be, and nothing of them is left', async () => {
    const { stored, container } = world();
    const own = container();
    const bytes = Buffer.alloc(2 * mebibyte, 'x');
    const send = (offset: number, given: Record<string, unknown> = {}) =>
      codeOf(own.answer('PutObject', piece(bytes, offset, given), never));
    lastUpload += 1;
    expect(await send(0, { totalBytes: 64 * mebibyte + 1 })).toBe('PayloadTooLarge');
    expect(await send(objectPieceBytes)).toBe('InvalidArgument');
    for (const wrong of [
      { hash: hashOf(Buffer.from('y')) },
      { totalBytes: 5 },
      { offset: 7 },
      { bytes: Buffer.alloc(0) },
    ]) {
      lastUpload += 1;
      expect(await send(0)).toBe('done');
      expect(await send(objectPieceBytes, wrong)).toBe('InvalidArgument');
      expect(await send(objectPieceBytes)).toBe('InvalidArgument');
    }
    lastUpload += 1;
    const other = hashOf(Buffer.from('y'));
    expect(await send(0, { hash: other })).toBe('done');
    expect(await send(objectPieceBytes, { hash: other })).toBe('InvalidArgument');
    expect(await send(0, { bytes: Buffer.alloc(objectPieceBytes + 1) })).toBe('InvalidArgument');
    expect(stored.size).toBe(0);
    // All room is free again.
    await put(own, Buffer.alloc(64 * mebibyte, 'z'));
  });

  it('wait for room, which is given back by whoever ends, breaks off or dies', async () => {
    const { objects, clock, held, container } = world(16 * mebibyte);
    const [one, two] = [container(), container()];
    const large = Buffer.alloc(10 * mebibyte, 'a');
    // Broken off after its first piece.
    lastUpload += 1;
    await one.answer('PutObject', piece(large, 0), never);
    const waiting = put(two, large);
    const late = new AbortController();
    const given = codeOf(
      two.answer('GetObject', encodeBody({ hash: hashOf(large), offset: 0, length: 9 }), late.signal),
    );
    await turns(10);
    late.abort(Object.assign(new Error('late'), { code: 'DeadlineExceeded' }));
    expect(await given).toBe('DeadlineExceeded');
    clock.advance(60_000);
    await waiting;
    lastUpload += 1;
    await one.answer('PutObject', piece(large, 0), never);
    const after = put(two, large);
    one.close();
    await after;
    // What the object store is given is in memory until it has it.
    objects.isSlow = true;
    const slow = put(one, large);
    while (held.length === 0) await turns(1);
    one.close();
    objects.isSlow = false;
    let isThere = false;
    const next = put(two, large).then(() => {
      isThere = true;
    });
    await turns(20);
    expect(isThere).toBe(false);
    held[0]?.();
    await Promise.all([slow, next]);
  });

  it('that the object store does not answer for are given up in time, and take room until it does', async () => {
    const { objects, held, container } = world(objectRangeBytes);
    const own = container();
    const bytes = Buffer.alloc(objectRangeBytes, 's');
    const range = encodeBody({ hash: hashOf(bytes), offset: 0, length: objectRangeBytes });
    for (const ask of [
      (signal: AbortSignal) => put(own, bytes, signal),
      (signal: AbortSignal) => own.answer('GetObject', range, signal),
    ]) {
      objects.isSlow = true;
      const late = new AbortController();
      const given = codeOf(ask(late.signal));
      while (held.length === 0) await turns(1);
      late.abort(Object.assign(new Error('late'), { code: 'DeadlineExceeded' }));
      expect(await given).toBe('DeadlineExceeded');
      objects.isSlow = false;
      let isThere = false;
      const next = put(own, bytes).then(() => {
        isThere = true;
      });
      await turns(20);
      expect(isThere).toBe(false);
      held.splice(0)[0]?.();
      await next;
    }
  });

  it('that are read give their room back, also where they are not there', async () => {
    const { container } = world(2 * objectRangeBytes);
    const own = container();
    const bytes = Buffer.alloc(objectRangeBytes, 'r');
    await put(own, bytes);
    const read = (hash: string) =>
      own.answer('GetObject', encodeBody({ hash, offset: 0, length: objectRangeBytes }), never);
    for (let i = 0; i < 5; i++) {
      expect(isSame(await read(hashOf(bytes)), bytes)).toBe(true);
      expect(await codeOf(read('0'.repeat(64)))).toBe('NotFound');
    }
  });

  it('that are given up on their way take no room any more', async () => {
    const { container } = world();
    const own = container();
    let stop = new AbortController();
    const objects = new TunnelObjects(async (method, request, { signal }) => {
      signal?.throwIfAborted();
      const answer = await (own.answer(method, request, never) as Promise<Uint8Array>);
      stop.abort(new Error('given up'));
      return answer;
    }, new ManualClock());
    const bytes = Buffer.alloc(4 * mebibyte, 'x');
    for (let i = 0; i < 20; i++) {
      stop = new AbortController();
      const given = objects.put(hashOf(bytes), bytes, { timeoutMs: 1_000, signal: stop.signal });
      await expect(given).rejects.toThrow('given up');
    }
    // All room is free again.
    await put(own, Buffer.alloc(64 * mebibyte, 'z'));
  });

  it('are so many at once, and no more', async () => {
    const { container } = world();
    const own = container();
    const bytes = Buffer.alloc(2 * mebibyte, 'x');
    const answers: unknown[] = [];
    for (let i = 0; i < 17; i++) {
      lastUpload += 1;
      answers.push(await codeOf(own.answer('PutObject', piece(bytes, 0), never)));
    }
    expect(answers).toEqual([...Array.from({ length: 16 }, () => 'done'), 'Unavailable']);
  });
});
