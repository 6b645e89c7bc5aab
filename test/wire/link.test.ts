import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { HoldfastError } from '../../src/common/errors.js';
import { FrameWriter } from '../../src/wire/frames/frame-writer.js';
import { FrameKind } from '../../src/wire/frames/frames.js';
import { createChannelPair } from '../../src/wire/link/channel-pair.js';
import { LinkHost, type ServerLink } from '../../src/wire/link/link-host.js';
import { batchOffsets, encodeHello, encodeWelcome, LinkMessage } from '../../src/wire/link/link-messages.js';
import { ManualClock } from '../manual-clock.js';
import { LinkWorld } from './link-world.js';

function connected(): LinkWorld {
  const world = new LinkWorld();
  world.deliverAll();
  expect(world.link.isConnected).toBe(true);
  return world;
}

function send(world: LinkWorld, side: 'client' | 'server', count = 1): void {
  for (let i = 0; i < count; i += 1) world.write(side);
  world.flush(side);
}

const side = fc.constantFrom('client' as const, 'server' as const);
const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('write' as const), side, count: fc.integer({ min: 1, max: 5 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('writeLarge' as const), side, count: fc.integer({ min: 1, max: 30 }) }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('flush' as const), side, count: fc.constant(0) }) },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('deliver' as const), side, count: fc.integer({ min: 1, max: 8 }) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('cut' as const), side, count: fc.constant(0) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('refuse' as const), side, count: fc.constant(1) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('wait' as const), side, count: fc.integer({ min: 50, max: 1_500 }) }),
  },
);

describe('a link whose channels break at random', () => {
  const large = Buffer.alloc(60_000);
  it('delivers every frame exactly once and in order, or is lost and knows what never left (I1, I2, I6)', () => {
    let losses = 0;
    let resumes = 0;
    fc.assert(
      fc.property(fc.array(step, { minLength: 10, maxLength: 200 }), (steps) => {
        const world = new LinkWorld();
        for (const { do: what, side, count } of steps) {
          if (what === 'write') for (let i = 0; i < count; i += 1) world.write(side);
          else if (what === 'writeLarge') for (let i = 0; i < count; i += 1) world.write(side, large);
          else if (what === 'flush') world.flush(side);
          else if (what === 'deliver') world.deliver(count);
          else if (what === 'cut') world.cut();
          else if (what === 'refuse') world.refusals += 1;
          else world.clock.advance(count);
        }
        world.flush('client');
        world.flush('server');
        for (let i = 0; i < 5; i += 1) {
          world.deliverAll();
          world.clock.advance(200);
        }
        world.deliverAll();
        const { client, server, link } = world;
        expect([client.disorder, server.disorder]).toEqual([null, null]);
        resumes += world.resumed;
        if (world.lost === null) {
          expect([server.seen, client.seen]).toEqual([client.written, server.written]);
          expect(server.gone).toBe(0);
        } else {
          losses += 1;
          expect(world.lostTimes).toBe(1);
          expect(world.batchOf[server.seen]).toBeLessThanOrEqual(link.lastSentBatch);
        }
      }),
      { numRuns: 1_000 },
    );
    // Else this test would say nothing.
    expect(resumes).toBeGreaterThan(100);
    expect(losses).toBeGreaterThan(10);
  });
});

/** A link whose worker is the test itself. */
function welcomed() {
  const world = new LinkWorld();
  const { left, right: channel } = createChannelPair((task) => task());
  const said: Buffer[] = [];
  channel.open({
    onMessage: (m) => void said.push(Buffer.from(m)),
    onDrain: () => undefined,
    onClosed: () => undefined,
  });
  world.connect({ open: () => left });
  channel.send(encodeWelcome({ bootId: 'boot-1', resumed: true, received: 0 }));
  return { world, channel, said };
}

function batch(number: number, ref: number): Buffer {
  const writer = new FrameWriter(batchOffsets.frames);
  writer.frame(FrameKind.End, ref, 0);
  const message = writer.take();
  message[batchOffsets.type] = LinkMessage.batch;
  message.writeDoubleLE(number, batchOffsets.number);
  message.writeDoubleLE(0, batchOffsets.ack);
  return message;
}

describe('a link', () => {
  it('sends what was written before the welcome after it', () => {
    const world = new LinkWorld();
    send(world, 'client', 3);
    expect([world.link.nextBatch, world.link.lastSentBatch, world.link.bootId]).toEqual([1, 0, null]);
    world.deliverAll();
    expect([world.server.seen, world.link.nextBatch, world.link.lastSentBatch, world.link.bootId]).toEqual([
      3,
      2,
      1,
      'boot-1',
    ]);
  });

  it('goes on with the same session after a break, in both directions', () => {
    const world = connected();
    send(world, 'client', 2);
    send(world, 'server', 2);
    world.cut();
    send(world, 'client', 2);
    send(world, 'server', 2);
    world.deliverAll();
    expect([world.server.seen, world.client.seen, world.resumed, world.sessions.length]).toEqual([4, 4, 1, 1]);
    expect([world.server.disorder, world.client.disorder, world.server.gone]).toEqual([null, null, 0]);
  });

  it('knows that what it wrote after the break has not left when it is lost', () => {
    const world = connected();
    send(world, 'client');
    world.refusals = 2;
    world.cut();
    world.deliver(2);
    send(world, 'client');
    world.deliverAll();
    world.clock.advance(100);
    world.deliverAll();
    expect(world.lost).toMatchObject({ code: 'Unavailable' });
    expect(world.batchOf.map((batch) => batch <= world.link.lastSentBatch)).toEqual([true, true, false]);
    expect(world.server.seen).toBe(0);
  });

  it('is lost when another boot answers', () => {
    const world = connected();
    world.host = world.newHost('boot-2');
    world.cut();
    world.deliverAll();
    expect(world.lost?.message).toContain('boot-2');
  });

  it('is lost when its session is gone, and no new one is made for it (I9)', () => {
    const world = connected();
    world.host = world.newHost('boot-1');
    world.cut();
    world.deliverAll();
    expect(world.lost).toMatchObject({ code: 'Unavailable', outcome: 'unknown' });
    expect(world.host.sessionCount).toBe(0);
  });

  it('is lost after two refusals, and at once where another attempt would not help', () => {
    const world = new LinkWorld();
    world.refusals = 1;
    world.deliverAll();
    world.cut();
    world.deliverAll();
    expect([world.lost, world.link.isConnected]).toEqual([null, false]);
    world.clock.advance(100);
    world.deliverAll();
    expect([world.lost, world.link.isConnected]).toEqual([null, true]);
    world.refusal = new HoldfastError('PermissionDenied', 'token revoked');
    world.refusals = 1;
    world.cut();
    world.deliverAll();
    expect(world.lost).toMatchObject({ code: 'PermissionDenied', message: 'token revoked' });
  });

  it('is lost when no welcome comes within 3 s (I7)', () => {
    const world = new LinkWorld();
    world.clock.advance(2_999);
    expect(world.lost).toBeNull();
    world.clock.advance(1);
    expect(world.lost).toMatchObject({ code: 'Unavailable' });
    const other = connected();
    other.cut();
    other.deliver(2);
    other.clock.advance(3_000);
    expect(other.lostTimes).toBe(1);
  });

  it('is lost when the worker breaks the protocol, and tells it', () => {
    const world = new LinkWorld();
    const { left, right } = createChannelPair((task) => task());
    let told: Error | null = null;
    right.open({ onMessage: () => undefined, onDrain: () => undefined, onClosed: (error) => (told = error) });
    world.connect({ open: () => left });
    right.send(Buffer.from([7, 7, 7]));
    expect(world.lost).toMatchObject({ code: 'InvalidArgument' });
    expect(told).toMatchObject({ code: 'InvalidArgument' });
  });

  it('ends at both sides when the client closes it, after what was written', () => {
    const world = connected();
    world.write('client');
    world.link.close();
    world.link.close();
    world.deliverAll();
    expect([world.server.seen, world.server.gone, world.lost, world.host.sessionCount]).toEqual([1, 1, null, 0]);
    expect(world.clock.timers).toBe(0);
  });

  it('is lost when the worker closes it, after what was written', () => {
    const world = connected();
    world.write('server');
    world.host.close();
    world.deliverAll();
    expect([world.client.seen, world.lostTimes, world.server.gone]).toEqual([1, 1, 1]);
    expect(world.clock.timers).toBe(0);
  });

  it('numbers the batches that wait, so that none of them counts as sent', () => {
    const world = new LinkWorld();
    for (let i = 0; i < 3; i += 1) {
      world.write('client', Buffer.alloc(70_000));
      world.flush('client');
    }
    world.write('client');
    expect([world.batchOf, world.link.lastSentBatch]).toEqual([[0, 1, 2, 3, 4], 0]);
    world.flush('client');
    world.deliverAll();
    expect([world.link.lastSentBatch, world.server.seen]).toEqual([4, 4]);
  });

  it('acknowledges one-way traffic often enough, and no more (I4)', () => {
    const { channel, said } = welcomed();
    for (let number = 1; number <= 600; number += 1) channel.send(batch(number, number));
    expect(said.slice(1).map((message) => [message[0], message.readDoubleLE(9)])).toEqual([
      [LinkMessage.ack, 256],
      [LinkMessage.ack, 512],
    ]);
  });

  it('takes a batch that comes twice once, and refuses one that skips others (I1)', () => {
    const { channel, world } = welcomed();
    for (const number of [1, 1, 2, 1, 2, 3]) channel.send(batch(number, number));
    expect([world.client.seen, world.client.disorder, world.lost]).toEqual([3, null, null]);
    channel.send(batch(5, 5));
    expect([world.client.seen, world.lost?.code]).toEqual([3, 'InvalidArgument']);
  });

  it('is lost when 64 MiB wait for a worker that does not read (I4)', () => {
    const world = connected();
    const chunk = Buffer.alloc(1_048_576);
    for (let i = 0; i < 80 && world.lost === null; i += 1) {
      world.write('client', chunk);
      world.flush('client');
    }
    expect(world.lost).toMatchObject({ code: 'Unavailable' });
    expect(world.link.bufferedBytes).toBe(0);
  });
});

describe('a worker', () => {
  it('lets a session go when its client stays away for 5 s (C5)', () => {
    const world = connected();
    world.refusals = 9;
    world.cut();
    world.deliverAll();
    world.clock.advance(4_999);
    expect(world.server.gone).toBe(0);
    world.clock.advance(1);
    expect([world.server.gone, world.host.sessionCount]).toEqual([1, 0]);
  });

  it('fences a stream of a client by its next one, and refuses the older one from then on (C7)', () => {
    const world = connected();
    const second = world.connect({ stream: 2, linkId: 'secret-2', onLost: () => undefined });
    world.deliverAll();
    expect([second.isConnected, world.server.gone, world.lostTimes, world.sessions.length]).toEqual([true, 1, 1, 2]);
    world.connect({});
    world.deliverAll();
    expect(world.lost).toMatchObject({ code: 'PermissionDenied' });
    expect([second.isConnected, world.sessions.length]).toEqual([true, 2]);
  });

  it('gives a stream only to the link that knows its secret, of the same principal', () => {
    const world = connected();
    world.connect({ linkId: 'guessed' });
    world.deliverAll();
    expect(world.lost).toMatchObject({ code: 'PermissionDenied' });
    expect([world.link.isConnected, world.server.gone]).toEqual([true, 0]);
    const { left, right } = createChannelPair((task) => task());
    const answers: Uint8Array[] = [];
    left.open({ onMessage: (m) => void answers.push(m), onDrain: () => undefined, onClosed: () => undefined });
    world.host.accept(right, 'another account');
    left.send(encodeHello({ clientId: 'client-1', linkId: 'secret-1', stream: 1, resume: false, received: 0 }));
    expect([answers.length, world.host.sessionCount, world.server.gone]).toEqual([1, 2, 0]);
  });

  it('sends nothing more once it may not flush, not even again after a resume (I3, S7)', () => {
    const world = connected();
    send(world, 'server');
    world.cut();
    world.mayFlush = false;
    send(world, 'server');
    world.deliverAll();
    world.mayFlush = true;
    send(world, 'server');
    world.clock.advance(100);
    world.deliverAll();
    expect(world.client.seen).toBe(0);
  });

  it('refuses a resume once it may not flush, and sends nothing again (I3, S7)', () => {
    const world = connected();
    send(world, 'server');
    world.cut();
    world.mayFlush = false;
    world.deliverAll();
    world.clock.advance(100);
    world.deliverAll();
    expect([world.client.seen, world.server.gone, world.host.sessionCount]).toEqual([0, 1, 0]);
    expect(world.lost).toMatchObject({ code: 'Unavailable' });
  });

  it('discards what waits when it may not flush', () => {
    const world = connected();
    world.write('server');
    world.mayFlush = false;
    world.flush('server');
    world.mayFlush = true;
    send(world, 'server');
    world.deliverAll();
    expect([world.client.seen, world.sessions[0]?.bufferedBytes]).toEqual([0, 0]);
  });

  it('ends the session whose frame its handler refuses, and tells the client why', () => {
    const world = connected();
    world.throwsAtFrame = 2;
    send(world, 'client', 3);
    world.deliverAll();
    expect([world.server.seen, world.server.gone]).toEqual([1, 1]);
    expect(world.lost).toMatchObject({ code: 'InvalidArgument', message: 'not this frame' });
  });

  it('lets urgent frames overtake data that waits', () => {
    const world = connected();
    for (let i = 0; i < 100; i += 1) {
      world.write('server', Buffer.alloc(60_000));
      world.flush('server');
    }
    const session = world.sessions[0];
    expect(session?.isBlocked).toBe(true);
    session?.writer.urgent(FrameKind.Credit, 1_000, Uint8Array.of(1, 0, 0, 0));
    session?.flushNow();
    const order: number[] = [];
    world.client.onFrame = (_kind, ref) => void order.push(ref);
    world.deliverAll();
    expect(order.indexOf(1_000)).toBeLessThan(40);
    expect(order.filter((ref) => ref !== 1_000)).toEqual(Array.from({ length: 100 }, (_, i) => i + 1));
  });

  it('drops a channel that says no hello within 5 s', () => {
    const world = connected();
    const { left, right } = createChannelPair((task) => task());
    let why: Error | null = null;
    left.open({ onMessage: () => undefined, onDrain: () => undefined, onClosed: (error) => (why = error) });
    world.host.accept(right);
    world.clock.advance(5_000);
    expect(why).toMatchObject({ code: 'DeadlineExceeded' });
  });

  describe('to whom anybody may say hello (I10)', () => {
    const strangerForMs = 1_000;
    let clock: ManualClock;
    let sessions: ServerLink[];
    let host: LinkHost;
    beforeEach(() => {
      clock = new ManualClock();
      sessions = [];
      const onSession = (link: ServerLink) => {
        sessions.push(link);
        return { onFrame: () => undefined, onGone: () => undefined };
      };
      host = new LinkHost({ bootId: 'boot', clock, maxSessions: 3, strangerForMs, onSession });
    });

    /** Its outcome: `open`, or why it was closed. */
    function greet(clientId: string): () => string {
      const { left, right } = createChannelPair((task) => task());
      let outcome = 'open';
      left.open({
        onMessage: () => undefined,
        onDrain: () => undefined,
        onClosed: (e) => (outcome = e?.message ?? ''),
      });
      host.accept(right);
      left.send(encodeHello({ clientId, linkId: clientId, stream: 1, resume: false, received: 0 }));
      return () => outcome;
    }

    it('sends those away whom nothing was trusted with in time, and nobody else', () => {
      const [trusted, stranger] = [greet('a'), greet('b')];
      sessions[0]?.trust();
      clock.advance(strangerForMs - 1);
      expect([trusted(), stranger()]).toEqual(['open', 'open']);
      clock.advance(1);
      expect([trusted(), stranger()]).toEqual(['open', expect.stringContaining('client b has shown')]);
      clock.advance(3_600_000);
      expect(trusted()).toBe('open');
      expect(host.sessionCount).toBe(1);
    });

    it('has room for who comes, at the cost of the stranger who came first', () => {
      const outcomes = ['a', 'b', 'c'].map(greet);
      sessions[0]?.trust();
      outcomes.push(greet('d'));
      const isFull = expect.stringContaining('has 3 clients');
      expect(outcomes.map((outcome) => outcome())).toEqual(['open', isFull, 'open', 'open']);
      for (const session of sessions.slice(2)) session.trust();
      expect(greet('e')()).toEqual(isFull);
      expect(outcomes.map((outcome) => outcome())).toEqual(['open', isFull, 'open', 'open']);
    });
  });

  it('survives whatever a channel says, and so do the others', () => {
    const world = connected();
    const hello = encodeHello({ clientId: 'mallory', linkId: 'm', stream: 1, resume: false, received: 0 });
    fc.assert(
      fc.property(fc.boolean(), fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 5 }), (greets, messages) => {
        const { left, right } = createChannelPair((task) => task());
        left.open({ onMessage: () => undefined, onDrain: () => undefined, onClosed: () => undefined });
        world.host.accept(right);
        if (greets) left.send(hello);
        for (const message of messages) left.send(message);
        left.send(Uint8Array.of(5));
        left.close();
      }),
      { numRuns: 2_000 },
    );
    expect(world.link.isConnected).toBe(true);
    send(world, 'client');
    world.deliverAll();
    expect(world.server.seen).toBe(1);
  });
});
