import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isHoldfastError } from '../../src/common/errors.js';
import type { Channel, SplitMessage } from '../../src/common/ports/channel.js';
import { decodeBody, encodeBody, readBind, readMeta, readUnary } from '../../src/wire/frames/frame-bodies.js';
import {
  readBody,
  readCall,
  readCancel,
  readCredit,
  readFrames,
  readPayload,
} from '../../src/wire/frames/frame-reader.js';
import { FrameStream } from '../../src/wire/frames/frame-stream.js';
import { FrameWriter } from '../../src/wire/frames/frame-writer.js';
import { CancelReason, FrameKind, frameOffsets, inlinePayloadBytes } from '../../src/wire/frames/frames.js';
import { createChannelPair } from '../../src/wire/link/channel-pair.js';
import { ChannelEnd } from '../contracts/channel-contract.js';

interface Seen {
  readonly kind: number;
  readonly ref: number;
  readonly slot: number;
  readonly body: Buffer;
}

function framesOf(batch: Uint8Array, start = 0): Seen[] {
  const seen: Seen[] = [];
  const visit = (...[kind, ref, slot, frame]: [FrameKind, number, number, Buffer]) =>
    seen.push({ kind, ref, slot, body: Buffer.from(readBody(frame)) });
  readFrames(batch, visit, start);
  return seen;
}

function partsOf(message: Uint8Array | SplitMessage): readonly Uint8Array[] {
  return message instanceof Uint8Array ? [message] : [message.head, message.tail];
}

function isRefusal(act: () => unknown): boolean {
  try {
    act();
    return true;
  } catch (error) {
    return isHoldfastError(error, 'InvalidArgument');
  }
}

const body = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes));
const frame = fc.record({
  kind: fc.integer({ min: 1, max: 34 }),
  ref: fc.maxSafeNat(),
  slot: fc.nat(0xffff_ffff),
  body,
});

describe('frames', () => {
  it('are read as they were written, in batches of any size', () => {
    fc.assert(
      fc.property(fc.array(fc.array(frame, { maxLength: 20 }), { maxLength: 20 }), fc.nat(30), (batches, headroom) => {
        const writer = new FrameWriter(headroom, 64);
        const taken = batches.map((frames) => {
          for (const { kind, ref, slot, body } of frames) writer.frame(kind as FrameKind, ref, slot, body);
          expect(writer.size).toBe(frames.reduce((sum, { body }) => sum + frameOffsets.body + body.length, 0));
          return writer.take();
        });
        // Only now: a batch must not change while later ones are written.
        expect(taken.map((batch) => framesOf(batch, headroom))).toEqual(batches);
      }),
    );
  });

  it('are forwarded under another ref and slot with their bytes as they were', () => {
    const from = new FrameWriter();
    from.frame(FrameKind.Chunk, 1, 2, Buffer.from('payload'));
    const to = new FrameWriter();
    to.forward(from.take(), 77, 88);
    expect(framesOf(to.take())).toEqual([{ kind: FrameKind.Chunk, ref: 77, slot: 88, body: Buffer.from('payload') }]);
  });

  it('carry calls: method, meta and the first 64 KiB of the payload', () => {
    for (const [method, meta, payload] of [
      ['say', null, Buffer.from('hi')],
      ['größe', Buffer.from('meta'), Buffer.alloc(0)],
      ['m'.repeat(255), Buffer.alloc(65_535, 1), Buffer.alloc(200_000, 'x')],
    ] as const) {
      const writer = new FrameWriter();
      writer.call({ ref: 5, slot: 6, method, flags: 1, remainingMs: 1_234, meta, payload });
      const call = readCall(writer.take());
      expect(call).toMatchObject({ flags: 1, remainingMs: 1_234, payloadLength: payload.length, method });
      expect(call.meta).toEqual(meta);
      expect(call.payload.equals(payload.subarray(0, inlinePayloadBytes))).toBe(true);
    }
  });

  it('carry payloads, credit and reasons', () => {
    const writer = new FrameWriter();
    writer.payload(FrameKind.Result, 1, 0, 100_000, Buffer.from('begin'));
    expect(readPayload(writer.take())).toEqual({ total: 100_000, bytes: Buffer.from('begin') });
    writer.frame(FrameKind.Cancel, 1, 0, Uint8Array.of(CancelReason.deadline));
    expect(readCancel(writer.take())).toBe(CancelReason.deadline);
    writer.frame(FrameKind.Credit, 1, 0, Uint8Array.of(1, 2, 0, 0));
    expect(readCredit(writer.take())).toBe(513);
  });

  it('are refused, and never read beyond their end, when they are anything else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        const padded = Buffer.concat([Buffer.from(bytes), Buffer.alloc(200, 0xee)]);
        const batch = padded.subarray(0, bytes.length);
        const read = (frame: Buffer) => {
          expect(frame.byteOffset - batch.byteOffset + frame.length).toBeLessThanOrEqual(batch.length);
          for (const reader of [readCall, readPayload, readCredit, readCancel])
            expect(isRefusal(() => reader(frame))).toBe(true);
        };
        return isRefusal(() => readFrames(batch, (...[, , , frame]) => read(frame)));
      }),
      { numRuns: 3_000 },
    );
  });

  it('are refused, or fewer, when true ones are cut or altered', () => {
    fc.assert(
      fc.property(fc.array(frame, { minLength: 1, maxLength: 5 }), fc.nat(), fc.nat(255), (frames, at, byte) => {
        const writer = new FrameWriter();
        for (const { kind, ref, slot, body } of frames) writer.frame(kind as FrameKind, ref, slot, body);
        const batch = writer.take();
        const altered = Buffer.from(batch);
        altered[at % batch.length] = byte;
        const whole: Seen[] = [];
        const cut = () =>
          readFrames(batch.subarray(0, at % batch.length), (...[kind, ref, slot, frame]) =>
            whole.push({ kind, ref, slot, body: Buffer.from(readBody(frame)) }),
          );
        expect([isRefusal(cut), isRefusal(() => framesOf(altered))]).toEqual([true, true]);
        expect(whole).toEqual(frames.slice(0, whole.length));
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('bodies of frames', () => {
  it('are read as they were written', () => {
    const bind = { key: 'k', generation: 1, epoch: 1_763_000_000_000_000, capability: 'c' };
    expect(readBind(encodeBody(bind))).toEqual(bind);
    const meta = { idempotencyKey: 'i', chain: [{ callId: 'a.1', label: 'x' }], traceparent: 't', attempt: 2 };
    expect(readMeta(encodeBody(meta))).toEqual(meta);
    expect(readMeta(encodeBody({}))).toEqual({});
    const unary = { method: 'ListApps', request: Buffer.from('r'), timeoutMs: 5 };
    expect(readUnary(encodeBody(unary))).toEqual(unary);
  });

  it('are refused when a field is of another type, or when they are anything else', () => {
    for (const wrong of [{ key: 1 }, { attempt: 'x' }, { chain: [1] }, { idempotencyKey: {} }, { chain: 'abc' }]) {
      expect(() => readBind(encodeBody(wrong))).toThrow();
      if (!('key' in wrong))
        expect(() => readMeta(encodeBody(wrong))).toThrow(expect.objectContaining({ code: 'InvalidArgument' }));
    }
    const bind = { key: 'k'.repeat(65), generation: 1, epoch: 1, capability: 'c' };
    expect(() => readBind(encodeBody(bind))).toThrow(expect.objectContaining({ code: 'InvalidArgument' }));
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) =>
        [decodeBody, readBind, readMeta, readUnary].every((read) => isRefusal(() => read(bytes))),
      ),
    );
  });
});

describe('a frame stream', () => {
  it('sends in one message what is written in one turn, and at once when told', async () => {
    const { left, right } = createChannelPair();
    const stream = new FrameStream(left);
    left.open({ onMessage: () => undefined, onDrain: () => stream.onDrain(), onClosed: () => stream.close() });
    const end = new ChannelEnd(right);
    for (let i = 1; i <= 3; i += 1) {
      stream.writer.frame(FrameKind.End, i, 0);
      stream.flushSoon();
    }
    const [batch] = await end.received(1);
    expect(framesOf(batch as Uint8Array).map(({ ref }) => ref)).toEqual([1, 2, 3]);
    stream.writer.frame(FrameKind.End, 4, 0);
    stream.flushNow();
    stream.writer.frame(FrameKind.End, 5, 0);
    stream.flushNow();
    expect(await end.received(3)).toHaveLength(3);
  });

  it('keeps batches near 64 KiB while the channel is slow, and lets urgent frames overtake them', async () => {
    const { left, right } = createChannelPair();
    const stream = new FrameStream(left);
    left.open({ onMessage: () => undefined, onDrain: () => stream.onDrain(), onClosed: () => stream.close() });
    const end = new ChannelEnd(right);
    for (let i = 1; i <= 200; i += 1) {
      stream.writer.frame(FrameKind.Chunk, i, 0, Buffer.alloc(20_000));
      stream.flushNow();
    }
    expect(stream.isBlocked).toBe(true);
    stream.writer.urgent(FrameKind.Cancel, 1_000, Uint8Array.of(0));
    stream.flushNow();
    const refs: number[] = [];
    let next = 0;
    while (refs.length < 201) {
      await end.received(next + 1);
      for (; next < end.messages.length; next += 1) {
        const message = end.messages[next] as Uint8Array;
        expect(message.length).toBeLessThan(65_536 + 20_100);
        refs.push(...framesOf(message).map(({ ref }) => ref));
      }
    }
    const overtaken = 200 - refs.indexOf(1_000);
    expect(overtaken).toBeGreaterThan(100);
    expect(refs.filter((ref) => ref !== 1_000)).toEqual(Array.from({ length: 200 }, (_, i) => i + 1));
    expect(stream.isBlocked).toBe(false);
  });

  it('sends long bodies from where they are, in their place among the other frames', async () => {
    const { left, right } = createChannelPair();
    const sent: (Uint8Array | SplitMessage)[] = [];
    const channel: Channel = {
      open: (handlers) => left.open(handlers),
      send: (message) => sent.push(message) > 0 && left.send(message),
      close: () => left.close(),
    };
    const stream = new FrameStream(channel);
    channel.open({ onMessage: () => undefined, onDrain: () => stream.onDrain(), onClosed: () => stream.close() });
    const end = new ChannelEnd(right);
    const long = Buffer.alloc(inlinePayloadBytes, 'long');
    const source = new FrameWriter();
    source.frame(FrameKind.Chunk, 1, 1, long);
    const { writer } = stream;
    writer.frame(FrameKind.End, 1, 0);
    writer.frame(FrameKind.Chunk, 2, 0, long);
    writer.forward(source.take(), 3, 9);
    const call = { ref: 4, slot: 5, method: 'save', flags: 1, remainingMs: 6, meta: Buffer.from('meta') };
    writer.call({ ...call, payload: Buffer.concat([long, Buffer.from('rest')]) });
    writer.payload(FrameKind.Result, 5, 0, 100_000, long);
    writer.frame(FrameKind.End, 6, 0);
    stream.flushNow();
    // What was copied would be in one piece.
    expect(sent.map((message) => 'tail' in message)).toEqual([true, true, true, true, false]);
    const frames: Buffer[] = [];
    for (const message of await end.received(5)) readFrames(message, (...[, , , frame]) => void frames.push(frame));
    expect(frames.map((frame) => frame.readDoubleLE(frameOffsets.ref))).toEqual([1, 2, 3, 4, 5, 6]);
    expect(frames[1]?.subarray(frameOffsets.body).equals(long)).toBe(true);
    expect(frames[2]?.readUInt32LE(frameOffsets.slot)).toBe(9);
    expect(frames[2]?.subarray(frameOffsets.body).equals(long)).toBe(true);
    const { payload, meta, method, payloadLength } = readCall(frames[3] as Buffer);
    expect([payload.equals(long), meta, method, payloadLength]).toEqual([true, call.meta, 'save', long.length + 4]);
    expect(readPayload(frames[4] as Buffer).bytes.equals(long)).toBe(true);
  });

  it('needs no more memory for what is sent at once', () => {
    const { left } = createChannelPair();
    const memories = new Set<ArrayBufferLike>();
    const send: Channel['send'] = (message, sent) => {
      for (const part of partsOf(message)) memories.add(part.buffer);
      sent?.();
      return true;
    };
    const stream = new FrameStream({ ...left, send });
    for (let i = 0; i < 1_000; i += 1) {
      stream.writer.payload(FrameKind.Result, i, 0, 60_000, Buffer.alloc(60_000));
      stream.flushNow();
    }
    expect(memories.size).toBeLessThan(4);
  });

  it('writes again into the memory of batches that were sent, and of no others', () => {
    const act = fc.record({ bytes: fc.integer({ min: 0, max: 60_000 }), isUrgent: fc.boolean(), sends: fc.nat(3) });
    fc.assert(
      fc.property(fc.array(act, { minLength: 1, maxLength: 60 }), (acts) => {
        const { left } = createChannelPair();
        const underway: { message: Uint8Array | SplitMessage; before: Buffer; sent: () => void }[] = [];
        const send: Channel['send'] = (message, sent = () => undefined) => {
          underway.push({ message, before: Buffer.concat(partsOf(message)), sent });
          return underway.length % 5 !== 0;
        };
        const stream = new FrameStream({ ...left, send });
        const isUnchanged = () =>
          underway.every(({ message, before }) => before.equals(Buffer.concat(partsOf(message))));
        const isRight = acts.every(({ bytes, isUrgent, sends }, i) => {
          const body = Buffer.alloc(bytes, `${i}`);
          if (isUrgent) stream.writer.urgent(FrameKind.Credit, i, Buffer.alloc(4, i));
          // What is all of a payload is copied, however long it is.
          stream.writer.payload(FrameKind.Result, i, 0, bytes, body);
          stream.flushNow();
          const isSame = isUnchanged();
          for (const { sent } of underway.splice(0, sends)) sent();
          stream.onDrain();
          return isSame;
        });
        return isRight && isUnchanged();
      }),
      { numRuns: 60 },
    );
  });

  it('keeps urgent frames whole when the slab is full at that moment', () => {
    const { left } = createChannelPair();
    const sent: Uint8Array[] = [];
    const stream = new FrameStream({ ...left, send: (m: Uint8Array) => sent.push(m) > 0 });
    const credit = Buffer.from([1, 2, 3, 4]);
    for (let i = 1; i <= 20_000; i += 1) {
      stream.writer.urgent(FrameKind.Credit, i, credit);
      stream.flushNow();
    }
    const frames = sent.flatMap((message) => framesOf(message));
    expect(frames.map(({ ref }) => ref)).toEqual(Array.from({ length: 20_000 }, (_, i) => i + 1));
    expect(frames.every(({ body }) => body.equals(credit))).toBe(true);
  });

  it('closes its channel when the other side does not read', async () => {
    const { left } = createChannelPair();
    const stream = new FrameStream(left);
    const closed = new Promise<Error | null>((resolve) => {
      left.open({ onMessage: () => undefined, onDrain: () => stream.onDrain(), onClosed: resolve });
    });
    const chunk = Buffer.alloc(1_048_576);
    for (let i = 0; i < 80; i += 1) {
      stream.writer.frame(FrameKind.Chunk, 1, 0, chunk);
      stream.flushNow();
    }
    expect(await closed).toMatchObject({ code: 'Unavailable' });
    expect(stream.bufferedBytes).toBe(0);
  });

  it('discards what was written when it may not flush any more', () => {
    const { left } = createChannelPair();
    let mayFlush = true;
    const sent: Uint8Array[] = [];
    const stream = new FrameStream({ ...left, send: (m: Uint8Array) => sent.push(m) > 0 }, () => mayFlush);
    stream.writer.frame(FrameKind.End, 1, 0);
    stream.flushNow();
    mayFlush = false;
    stream.writer.frame(FrameKind.End, 2, 0);
    stream.flushNow();
    mayFlush = true;
    stream.writer.frame(FrameKind.End, 3, 0);
    stream.flushNow();
    expect(sent.flatMap((message) => framesOf(message)).map(({ ref }) => ref)).toEqual([1]);
  });
});
