import { HoldfastError } from '../../common/errors.js';
import type { Channel } from '../../common/ports/channel.js';
import { FrameOutbox } from '../frames/frame-outbox.js';
import { readFrames } from '../frames/frame-reader.js';
import type { FrameKind } from '../frames/frames.js';
import { SplitBatch } from '../frames/split-message.js';
import { batchOffsets, encodeAck, LinkMessage } from './link-messages.js';

/** What an end of a link needs of its owner. */
export interface LinkEndOwner {
  onFrame(kind: FrameKind, ref: number, slot: number, frame: Buffer): void;
  /** Everything that waited has been sent. */
  onDrain(): void;
  /** Asked before each flush (S7). */
  mayFlush(): boolean;
  /** Too much waits; the owner ends the link. */
  overflowed(error: HoldfastError): void;
}

const ackAfterBytes = 262_144;
const ackAfterBatches = 256;
const maxRetainedBytes = 134_217_728;

/**
 * One side of a link: numbered batches over one channel after the other.
 *
 * I1. Between one client's link and one boot each frame is delivered exactly once and in order: batches are numbered from
 *     1, kept until the other side has said that it has them, sent again on the next channel, and dropped there when seen.
 * I2. A batch has its number from its first frame: a frame in a batch above `lastSentBatch` has reached no channel, so its
 *     call has certainly not run; of all others nothing is certain until they are answered.
 * I3. Nothing leaves, and nothing leaves again, without asking `mayFlush` (S7).
 * I4. What waits and what is kept is bounded; acks are owed for at most `ackAfterBytes` or `ackAfterBatches`.
 * I5. Acks, like all that is read, wait for no data that is written.
 */
export class LinkEnd {
  readonly outbox: FrameOutbox;
  readonly #owner: LinkEndOwner;
  readonly #visit: LinkEndOwner['onFrame'];
  #channel: Channel | null = null;
  /** Batches `#acked + 1` to `#lastSent`. */
  #retained: (Buffer | SplitBatch)[] = [];
  #retainedBytes = 0;
  #acked = 0;
  #lastSent = 0;
  #received = 0;
  #owedBytes = 0;
  #owedBatches = 0;

  constructor(owner: LinkEndOwner) {
    this.#owner = owner;
    // The rest of a batch is of no interest to an owner that closed the link while it read the beginning.
    // biome-ignore lint/complexity/useMaxParams: no object per frame
    this.#visit = (kind, ref, slot, frame) => {
      if (!this.outbox.isClosed) owner.onFrame(kind, ref, slot, frame);
    };
    const { frames } = batchOffsets;
    this.outbox = new FrameOutbox(
      {
        transmit: (batch) => this.#transmit(batch),
        mayFlush: () => owner.mayFlush(),
        overflowed: (error) => owner.overflowed(error),
      },
      { headroomBytes: frames, phase: 'paused' },
    );
  }

  /** The last batch of the other side that was delivered here. */
  get received(): number {
    return this.#received;
  }

  get lastSentBatch(): number {
    return this.#lastSent;
  }

  get nextBatch(): number {
    return this.#lastSent + this.outbox.sealedBatches + 1;
  }

  get isAttached(): boolean {
    return this.#channel !== null;
  }

  /** Goes on over `channel`, after asking `mayFlush`: sends again what the other side has not received. @throws InvalidArgument, Unavailable */
  attach(channel: Channel, received: number): void {
    this.#acknowledge(received);
    this.#channel = channel;
    if (this.outbox.isClosed) {
      throw new HoldfastError('Unavailable', 'this boot is fenced; resolve again', { outcome: 'unknown' });
    }
    this.#owedBytes = 0;
    this.#owedBatches = 0;
    let flows = true;
    for (const batch of this.#retained) {
      headOf(batch).writeDoubleLE(this.#received, batchOffsets.ack);
      flows = channel.send(batch);
    }
    if (flows) this.resume();
  }

  /** The channel is gone, another may come. */
  detach(): void {
    this.#channel = null;
    this.outbox.pause();
  }

  /** The channel takes more. */
  resume(): void {
    this.outbox.resume();
    if (this.outbox.isFlowing) this.#owner.onDrain();
  }

  /** Nothing is sent or kept any more. */
  close(): void {
    this.#channel = null;
    this.outbox.close();
    this.#retained = [];
    this.#retainedBytes = 0;
  }

  /** A batch or an ack. @throws InvalidArgument, and what the owner's `onFrame` throws */
  receive(message: Uint8Array): void {
    if (message.length < batchOffsets.frames) refuse(`a message is ${message.length} bytes long`);
    const bytes = Buffer.isBuffer(message) ? message : Buffer.from(message.buffer, message.byteOffset, message.length);
    const number = bytes.readDoubleLE(batchOffsets.number);
    this.#acknowledge(bytes.readDoubleLE(batchOffsets.ack));
    if (bytes[batchOffsets.type] === LinkMessage.ack || number <= this.#received) return;
    if (number !== this.#received + 1) refuse(`batch ${number} came after batch ${this.#received}`);
    // First, so that what the frames set off acknowledges them.
    this.#received = number;
    this.#owedBatches += 1;
    this.#owedBytes += bytes.length;
    readFrames(bytes, this.#visit, batchOffsets.frames);
    if (this.#owedBytes >= ackAfterBytes || this.#owedBatches >= ackAfterBatches) this.#sendAck();
  }

  #transmit(batch: Buffer | SplitBatch): boolean {
    this.#lastSent += 1;
    const head = headOf(batch);
    head[batchOffsets.type] = LinkMessage.batch;
    head.writeDoubleLE(this.#lastSent, batchOffsets.number);
    head.writeDoubleLE(this.#received, batchOffsets.ack);
    this.#retained.push(batch);
    this.#retainedBytes += batch.length;
    if (this.#retainedBytes > maxRetainedBytes) {
      const why = `${this.#retainedBytes} bytes were sent and not acknowledged`;
      this.#owner.overflowed(new HoldfastError('Unavailable', why, { outcome: 'unknown' }));
      return false;
    }
    this.#owedBytes = 0;
    this.#owedBatches = 0;
    return this.#channel?.send(batch) ?? false;
  }

  #acknowledge(number: number): void {
    if (!(Number.isSafeInteger(number) && number <= this.#lastSent)) {
      refuse(`batch ${number} was acknowledged, the last one sent is ${this.#lastSent}`);
    }
    // An ack that was sent again may be old.
    const count = number - this.#acked;
    if (count <= 0) return;
    for (const batch of this.#retained.splice(0, count)) this.#retainedBytes -= batch.length;
    this.#acked = number;
  }

  #sendAck(): void {
    if (this.#channel === null || this.outbox.isClosed) return;
    this.#owedBytes = 0;
    this.#owedBatches = 0;
    this.#channel.send(encodeAck(this.#received));
  }
}

function headOf(batch: Buffer | SplitBatch): Buffer {
  return batch instanceof SplitBatch ? batch.head : batch;
}

function refuse(why: string): never {
  throw new HoldfastError('InvalidArgument', `the link is broken: ${why}`);
}
