import type { HoldfastError } from '../../common/errors.js';
import type { Channel } from '../../common/ports/channel.js';
import { FrameOutbox } from './frame-outbox.js';
import type { FrameWriter } from './frame-writer.js';
import { SplitBatch } from './split-message.js';

/**
 * Frames over one channel, which its owner opens: it passes `onDrain` on and reads messages with `readFrames`. Write to
 * `writer`, then flush: at once when nothing else is under way, else soon. A channel that takes nothing any more while
 * 64 MiB wait is closed with `Unavailable`.
 */
export class FrameStream {
  readonly #outbox: FrameOutbox;

  /** @param beforeFlush asked before anything leaves; false: it is discarded, and so is all that follows (S7) */
  constructor(channel: Channel, beforeFlush: () => boolean = () => true) {
    this.#outbox = new FrameOutbox(
      {
        transmit: (batch) => {
          const taken = batch instanceof SplitBatch ? batch.head : batch;
          return channel.send(batch, () => this.#outbox.writer.giveBack(taken));
        },
        mayFlush: beforeFlush,
        overflowed: (error: HoldfastError) => {
          this.#outbox.close();
          channel.close(error);
        },
      },
      { headroomBytes: 0, phase: 'flowing' },
    );
  }

  get writer(): FrameWriter {
    return this.#outbox.writer;
  }

  /** The channel is slow: what is written waits for `onDrain`. */
  get isBlocked(): boolean {
    return !this.#outbox.isFlowing;
  }

  get bufferedBytes(): number {
    return this.#outbox.bufferedBytes;
  }

  flushSoon(): void {
    this.#outbox.flushSoon();
  }

  flushThisTick(): void {
    this.#outbox.flushThisTick();
  }

  flushNow(): void {
    this.#outbox.flushNow();
  }

  /** For `ChannelHandlers.onDrain`. */
  onDrain(): void {
    this.#outbox.resume();
  }

  /** The channel is gone: nothing is kept or sent any more. */
  close(): void {
    this.#outbox.close();
  }
}
