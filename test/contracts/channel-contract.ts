import { EventEmitter, once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { HoldfastError } from '../../src/common/errors.js';
import type { Channel } from '../../src/common/ports/channel.js';
import { SplitBatch } from '../../src/wire/frames/split-message.js';

/** Two ends of one connection, and the end of all that carries it. */
export interface ChannelsUnderTest extends AsyncDisposable {
  readonly left: Channel;
  readonly right: Channel;
  /** Breaks the connection as the death of a process would. */
  cut(): void;
}

/** One end, opened, with what it was told. */
export class ChannelEnd {
  readonly channel: Channel;
  readonly messages: Uint8Array[] = [];
  readonly closings: (Error | null)[] = [];
  readonly #events = new EventEmitter();

  constructor(channel: Channel) {
    this.channel = channel;
    channel.open({
      onMessage: (message) => {
        this.messages.push(message);
        this.#events.emit('change');
      },
      onDrain: () => this.#events.emit('drain'),
      onClosed: (error) => {
        this.closings.push(error);
        this.#events.emit('change');
      },
    });
  }

  async received(count: number): Promise<readonly Uint8Array[]> {
    while (this.messages.length < count) await once(this.#events, 'change');
    return this.messages;
  }

  async closed(): Promise<Error | null> {
    while (this.closings.length === 0) await once(this.#events, 'change');
    return this.closings[0] as Error | null;
  }

  async drained(): Promise<void> {
    await once(this.#events, 'drain');
  }
}

const texts = (messages: readonly Uint8Array[]) => messages.map((message) => Buffer.from(message).toString());
const numbered = (count: number) => Array.from({ length: count }, (_, i) => `message ${i}`);

/** What every channel must do. */
export function describeChannel(name: string, make: () => Promise<ChannelsUnderTest>): void {
  const opened = async () => {
    const made = await make();
    return { made, left: new ChannelEnd(made.left), right: new ChannelEnd(made.right) };
  };
  const sides = [
    ['the client', 'left', 'right'],
    ['the server', 'right', 'left'],
  ] as const;

  describe(name, () => {
    it('carries messages whole and in order, both ways at once', async () => {
      const { made, left, right } = await opened();
      await using _ = made;
      const sent = numbered(2_000);
      for (const text of sent) {
        left.channel.send(Buffer.from(text));
        right.channel.send(Buffer.from(text));
      }
      expect(texts(await right.received(2_000))).toEqual(sent);
      expect(texts(await left.received(2_000))).toEqual(sent);
    });

    it('carries messages in two pieces as one, in their place among others', async () => {
      const { made, left, right } = await opened();
      await using _ = made;
      const sent = [10, 20_000, 70_000, 1_048_576].map((bytes, i) => Buffer.alloc(bytes, `${i}`));
      for (const [side, other] of [
        [left, right],
        [right, left],
      ] as const) {
        for (const message of sent) {
          side.channel.send(new SplitBatch(message.subarray(0, 7), message.subarray(7)));
          side.channel.send(message.subarray(0, 5));
        }
        const received = await other.received(sent.length * 2);
        const expected = sent.flatMap((message) => [message, message.subarray(0, 5)]);
        expect(received.every((message, i) => expected[i]?.equals(message))).toBe(true);
      }
    });

    it('carries a message of no bytes and one of 1 MiB', async () => {
      const { made, left, right } = await opened();
      await using _ = made;
      const large = Buffer.alloc(1_048_576, 'abcdefg');
      for (const end of [left, right]) {
        end.channel.send(new Uint8Array(0));
        end.channel.send(large);
        end.channel.send(Buffer.from('x'));
      }
      for (const end of [right, left]) {
        const [empty, whole, last] = await end.received(3);
        expect(empty?.length).toBe(0);
        expect(large.equals(whole as Uint8Array)).toBe(true);
        expect(Buffer.from(last as Uint8Array).toString()).toBe('x');
      }
    });

    it('says when the other side is slow, and when to go on', async () => {
      const { made, left, right } = await opened();
      await using _ = made;
      for (const [from, to] of [
        [left, right],
        [right, left],
      ] as const) {
        let sent = 1;
        while (from.channel.send(Buffer.alloc(65_536))) sent += 1;
        expect(sent).toBeLessThan(256);
        await from.drained();
        from.channel.send(Buffer.from('more'));
        const messages = await to.received(sent + 1);
        expect(texts(messages).at(-1)).toBe('more');
      }
    });

    describe.each(sides)('closed by %s', (_name, closing, other) => {
      it('delivers what was sent before, then ends on both sides', async () => {
        const ends = await opened();
        await using _ = ends.made;
        // A stream that nobody has spoken on may not have reached the other side yet.
        ends[other].channel.send(Buffer.from('hello'));
        await ends[closing].received(1);
        const sent = numbered(500);
        for (const text of sent) ends[closing].channel.send(Buffer.from(text));
        ends[closing].channel.close();
        ends[closing].channel.close();
        expect(await ends[closing].closed()).toBeNull();
        expect(await ends[other].closed()).toBeNull();
        expect(texts(ends[other].messages)).toEqual(sent);
      });

      it('tells the other side the code, message and details of an error', async () => {
        const ends = await opened();
        await using _ = ends.made;
        ends[other].channel.send(Buffer.from('hello'));
        await ends[closing].received(1);
        ends[closing].channel.close(new HoldfastError('InstanceGone', 'it is gone', { details: { id: 'a1' } }));
        expect(await ends[other].closed()).toMatchObject({
          code: 'InstanceGone',
          message: 'it is gone',
          details: { id: 'a1' },
        });
        expect(await ends[closing].closed()).toMatchObject({ code: 'InstanceGone' });
      });

      it('takes and brings nothing more', async () => {
        const ends = await opened();
        await using _ = ends.made;
        ends[other].channel.send(Buffer.from('hello'));
        await ends[closing].received(1);
        ends[closing].channel.close();
        ends[closing].channel.send(Buffer.from('late'));
        ends[other].channel.send(Buffer.from('too late'));
        await Promise.all([ends[closing].closed(), ends[other].closed()]);
        expect(texts(ends[closing].messages)).toEqual(['hello']);
        expect(ends[other].messages).toEqual([]);
        expect(() => ends[other].channel.send(Buffer.from('much too late'))).not.toThrow();
      });
    });

    it('ends once on each side when both close it', async () => {
      const { made, left, right } = await opened();
      {
        await using _ = made;
        left.channel.send(Buffer.from('hello'));
        await right.received(1);
        left.channel.close();
        right.channel.close();
        await Promise.all([left.closed(), right.closed()]);
      }
      expect([left.closings, right.closings]).toEqual([[null], [null]]);
    });

    it('ends once on each side, with an error, when the connection breaks', async () => {
      const { made, left, right } = await opened();
      {
        await using _ = made;
        left.channel.send(Buffer.from('hello'));
        await right.received(1);
        made.cut();
        await Promise.all([left.closed(), right.closed()]);
      }
      for (const { closings } of [left, right]) expect(closings).toMatchObject([{ code: 'Unavailable' }]);
    });
  });
}
