import { beforeEach, describe, expect, it } from 'vitest';
import type { Channel, ChannelHandlers } from '../../src/common/ports/channel.js';
import { busyPolled } from '../../src/wire/busy-poll.js';
import { ManualClock } from '../manual-clock.js';

const small = new Uint8Array(100);

describe('a polled channel', () => {
  let clock: ManualClock;
  let turns: (() => void)[];
  let inner: ChannelHandlers | null;
  let channel: Channel;
  let received: Uint8Array[];

  beforeEach(() => {
    clock = new ManualClock();
    turns = [];
    received = [];
    inner = null;
    const sent: Channel = {
      open: (handlers) => {
        inner = handlers;
      },
      send: () => true,
      close: () => undefined,
    };
    channel = busyPolled(sent, clock, (turn) => void turns.push(turn));
    channel.open({
      onMessage: (message) => void received.push(message),
      onDrain: () => undefined,
      onClosed: () => undefined,
    });
  });

  /** An answer, and the next call that much later. */
  const loop = (afterMs: number): void => {
    channel.send(small);
    clock.advance(afterMs);
    inner?.onMessage(small);
  };
  const turn = (): void => turns.shift()?.();

  it('waits awake for a caller that calls in a loop, for 0.2 ms and no longer', () => {
    loop(0.5);
    channel.send(small);
    expect(turns).toHaveLength(1);
    clock.advance(0.1);
    turn();
    expect(turns).toHaveLength(1);
    clock.advance(0.15);
    turn();
    expect(turns).toHaveLength(0);
  });

  it('sleeps for one that pauses', () => {
    loop(1.5);
    channel.send(small);
    expect(turns).toHaveLength(0);
  });

  it('sleeps after a batch of many answers', () => {
    loop(0.5);
    channel.send(new Uint8Array(2_000));
    expect(turns).toHaveLength(0);
  });

  it('stops when the next call comes, and hands it on', () => {
    loop(0.5);
    channel.send(small);
    inner?.onMessage(small);
    turn();
    expect(turns).toHaveLength(0);
    expect(received).toHaveLength(2);
  });
});
