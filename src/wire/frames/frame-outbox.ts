import { HoldfastError } from '../../common/errors.js';
import { FrameWriter } from './frame-writer.js';
import { batchBytes } from './frames.js';
import { SplitBatch } from './split-message.js';

/** What an outbox needs of its owner. */
export interface OutboxOwner {
  /** Sends a batch, headroom first. False: it is on its way, but send nothing more until `resume`. */
  transmit(batch: Buffer | SplitBatch): boolean;
  /** Asked before each flush; false: all that waits is discarded, now and from now on (S7). */
  mayFlush(): boolean;
  /** More waits than `maxBufferedBytes`: the other side does not read, the owner must give up. */
  overflowed(error: HoldfastError): void;
}

/** What may wait for a slow or absent other side. */
const maxBufferedBytes = 67_108_864;

/**
 * Frames on their way to a channel, in batches.
 *
 * I1. Batches leave in the order in which they were begun; frames in the order in which they were written, but urgent
 *     ones go in front of the next batch that leaves: they bypass all data that waits.
 * I2. Data waits in batches of about `batchBytes`: none grows beyond that and one frame, and a long body ends its batch.
 * I3. `mayFlush` is asked before anything leaves.
 * I4. At most `maxBufferedBytes` wait.
 */
export class FrameOutbox {
  /** Frames of the batch that is being written. */
  readonly writer: FrameWriter;
  readonly #headroom: number;
  readonly #owner: OutboxOwner;
  readonly #flushScheduled = () => {
    this.#isScheduled = false;
    this.flushNow();
  };
  #sealed: (Buffer | SplitBatch)[] = [];
  #sealedBytes = 0;
  readonly #flushTick = () => {
    this.#isTicking = false;
    this.flushNow();
  };
  #isScheduled = false;
  #isTicking = false;
  #phase: 'paused' | 'flowing' | 'closed';

  constructor(owner: OutboxOwner, options: { readonly headroomBytes: number; readonly phase: 'paused' | 'flowing' }) {
    this.#owner = owner;
    this.#headroom = options.headroomBytes;
    this.#phase = options.phase;
    this.writer = new FrameWriter(options.headroomBytes, undefined, (batch) => this.#keep(batch));
  }

  /** False: frames that are written now will wait. */
  get isFlowing(): boolean {
    return this.#phase === 'flowing';
  }

  get isClosed(): boolean {
    return this.#phase === 'closed';
  }

  /** Batches before the one that is being written. */
  get sealedBatches(): number {
    return this.#sealed.length;
  }

  get bufferedBytes(): number {
    return this.#sealedBytes + this.writer.size + this.writer.urgentSize;
  }

  /** Sends in the next turn of the event loop, with all that is written until then; at once where a batch is full. */
  flushSoon(): void {
    const isLong = this.writer.size >= batchBytes || (this.#sealed.length > 0 && this.isFlowing);
    if (isLong || this.#phase === 'closed') {
      this.flushNow();
    } else if (!this.#isScheduled) {
      this.#isScheduled = true;
      setImmediate(this.#flushScheduled);
    }
  }

  /** Sends when the code that runs now is done: for the first frame of what may be a burst, when nothing else is under way. */
  flushThisTick(): void {
    if (this.#isTicking) return;
    this.#isTicking = true;
    process.nextTick(this.#flushTick);
  }

  flushNow(): void {
    if (this.#phase === 'closed') this.#discard();
    else if (!this.#owner.mayFlush()) this.close();
    else if (this.#phase === 'paused') this.#seal();
    else this.#sendAll();
  }

  /** Nothing leaves until `resume`. */
  pause(): void {
    if (this.#phase === 'flowing') this.#phase = 'paused';
  }

  /** The other side takes more: sends what waits. */
  resume(): void {
    if (this.#phase === 'closed') return;
    this.#phase = 'flowing';
    this.flushNow();
  }

  /** Nothing leaves any more; what waits and what comes is discarded. */
  close(): void {
    this.#phase = 'closed';
    this.#discard();
  }

  #sendAll(): void {
    while (this.#sealed.length > 0) {
      const batch = this.#sealed.shift() as Buffer | SplitBatch;
      this.#sealedBytes -= batch.length;
      if (!this.#transmit(this.writer.urgentSize === 0 ? batch : this.#withUrgent(batch))) return;
    }
    if (this.writer.urgentSize > 0) this.#prependUrgent();
    if (this.writer.size > 0) this.#transmit(this.writer.take());
  }

  #transmit(batch: Buffer | SplitBatch): boolean {
    if (!this.#owner.transmit(batch)) this.pause();
    return this.#phase === 'flowing';
  }

  #seal(): void {
    if (this.writer.size >= batchBytes) this.#keep(this.writer.take());
    if (this.bufferedBytes <= maxBufferedBytes) return;
    const why = `${this.bufferedBytes} bytes wait for the other side, which does not read`;
    this.#owner.overflowed(new HoldfastError('Unavailable', why, { outcome: 'unknown' }));
  }

  #keep(batch: Buffer | SplitBatch): void {
    if (this.#phase === 'closed') return;
    this.#sealed.push(batch);
    this.#sealedBytes += batch.length;
  }

  #withUrgent(batch: Buffer | SplitBatch): Buffer | SplitBatch {
    if (batch instanceof SplitBatch) return new SplitBatch(this.#behindUrgent(batch.head), batch.tail);
    return this.#behindUrgent(batch);
  }

  #behindUrgent(batch: Buffer): Buffer {
    const urgent = this.writer.takeUrgent();
    const both = Buffer.allocUnsafe(batch.length + urgent.length);
    both.set(urgent, this.#headroom);
    both.set(batch.subarray(this.#headroom), this.#headroom + urgent.length);
    this.writer.giveBack(batch);
    return both;
  }

  #prependUrgent(): void {
    const urgent = this.writer.takeUrgent();
    const data = this.writer.size === 0 ? null : this.writer.take();
    this.writer.append(urgent);
    if (data === null) return;
    this.writer.append(data.subarray(this.#headroom));
    this.writer.giveBack(data);
  }

  #discard(): void {
    this.#sealed = [];
    this.#sealedBytes = 0;
    this.writer.clear();
  }
}
