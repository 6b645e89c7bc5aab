import { HoldfastError } from '../../common/errors.js';
import type { SplitMessage } from '../../common/ports/channel.js';
import { wholeMessage } from '../frames/split-message.js';

/** The last message of a client that closes with an error: gRPC lets servers alone say why. */
export class CloseNotice {
  /** A WireError. */
  readonly error: Uint8Array;

  constructor(error: Uint8Array) {
    this.error = error;
  }
}

/** All messages after the first of these are on the stream's lane. */
export class OnLane {
  /** So many have been sent there, modulo 2^32. */
  readonly count: number;

  constructor(count: number) {
    this.count = count;
  }
}

/** A client has dialed the lane of its stream. */
export class LaneOffer {
  readonly id: string;

  constructor(id: string) {
    this.id = id;
  }
}

export type ChannelMessage = Uint8Array | SplitMessage | CloseNotice | OnLane | LaneOffer;

/** How messages of a channel look as protobuf. */
export interface ChannelFormat {
  serialize(message: ChannelMessage): Buffer;
  /** @throws InvalidArgument */
  deserialize(bytes: Buffer): ChannelMessage;
}

// Field numbers and wire types of `LinkBatch`: `batch`, `on_lane`, `lane_id` and `close_error`.
const batchTag = (1 << 3) | 2;
const onLaneTag = 2 << 3;
const laneIdTag = (3 << 3) | 2;
const closeErrorTag = (15 << 3) | 2;

/**
 * A message that is written where it is sent from. grpc-js copies what a serializer returns into a buffer of its own, behind five
 * bytes, and does so by these three members of a Buffer.
 */
class OutgoingMessage implements Pick<Buffer, 'length' | 'byteLength' | 'copy'> {
  readonly length: number;
  readonly #tag: number;
  readonly #bytes: Uint8Array | SplitMessage;

  constructor(tag: number, bytes: Uint8Array | SplitMessage) {
    this.length = 1 + lengthBytesOf(bytes.length) + bytes.length;
    this.#tag = tag;
    this.#bytes = bytes;
  }

  get byteLength(): number {
    return this.length;
  }

  copy(target: Uint8Array, start = 0): number {
    const bytes = this.#bytes;
    const at = writeHeader(target, start, this.#tag, bytes.length);
    if (bytes instanceof Uint8Array) {
      target.set(bytes, at);
    } else {
      target.set(bytes.head, at);
      target.set(bytes.tail, at + bytes.head.length);
    }
    return this.length;
  }
}

/** The message is the field `batch` of a LinkBatch: no copy but that of grpc-js out, none in. */
export const linkBatchFormat: ChannelFormat = {
  serialize: (message) => {
    if (message instanceof CloseNotice) return lengthDelimited(closeErrorTag, message.error);
    if (message instanceof OnLane) return onLane(message);
    if (message instanceof LaneOffer) return lengthDelimited(laneIdTag, Buffer.from(message.id));
    if (message.length === 0) return Buffer.alloc(0);
    return new OutgoingMessage(batchTag, message) as unknown as Buffer;
  },
  deserialize: (bytes) => {
    if (bytes.length === 0) return bytes;
    if (bytes[0] === closeErrorTag) return new CloseNotice(fieldOf(bytes));
    if (bytes[0] === onLaneTag) return readOnLane(bytes);
    if (bytes[0] === laneIdTag) return new LaneOffer(fieldOf(bytes).toString('latin1'));
    if (bytes[0] !== batchTag) throw malformed('its first field is not the batch');
    return fieldOf(bytes);
  },
};

/** The message is an encoded protobuf message itself, which does not begin with the field `close_error`. */
export const encodedFormat: ChannelFormat = {
  serialize: (message) => {
    if (message instanceof CloseNotice) return lengthDelimited(closeErrorTag, message.error);
    if (message instanceof OnLane || message instanceof LaneOffer) throw malformed('it has no lane');
    const bytes = wholeMessage(message);
    return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  },
  deserialize: (bytes) => (bytes[0] === closeErrorTag ? new CloseNotice(fieldOf(bytes)) : bytes),
};

function onLane({ count }: OnLane): Buffer {
  const message = Buffer.allocUnsafe(1 + lengthBytesOf(count));
  writeHeader(message, 0, onLaneTag, count);
  return message;
}

function readOnLane(bytes: Buffer): OnLane {
  const [count, next] = varintAt(bytes, 1);
  if (next !== bytes.length) throw malformed('it says more than what is on the lane');
  return new OnLane(count);
}

function lengthDelimited(tag: number, bytes: Uint8Array): Buffer {
  const message = Buffer.allocUnsafe(1 + lengthBytesOf(bytes.length) + bytes.length);
  message.set(bytes, writeHeader(message, 0, tag, bytes.length));
  return message;
}

/** Of a length as protobuf writes it. */
function lengthBytesOf(length: number): number {
  let bytes = 1;
  for (let rest = length >>> 7; rest > 0; rest >>>= 7) bytes += 1;
  return bytes;
}

/** Returns where the bytes go. */
// biome-ignore lint/complexity/useMaxParams: no object per message
function writeHeader(target: Uint8Array, start: number, tag: number, length: number): number {
  let at = start;
  target[at++] = tag;
  let rest = length;
  for (; rest >= 0x80; rest >>>= 7) target[at++] = (rest & 0x7f) | 0x80;
  target[at++] = rest;
  return at;
}

/** A view of the one field of a message. */
function fieldOf(bytes: Buffer): Buffer {
  const [length, next] = varintAt(bytes, 1);
  if (length !== bytes.length - next) throw malformed(`it has ${bytes.length} bytes, its field says ${length}`);
  return bytes.subarray(next);
}

/** And where it ends. */
function varintAt(bytes: Buffer, start: number): readonly [value: number, next: number] {
  let value = 0;
  for (let at = start; at < start + 5; at += 1) {
    const byte = bytes[at];
    if (byte === undefined) throw malformed('it is cut off');
    value += (byte & 0x7f) * 2 ** (7 * (at - start));
    if (byte < 0x80) return [value, at + 1];
  }
  throw malformed('its length is no number');
}

function malformed(why: string): HoldfastError {
  return new HoldfastError('InvalidArgument', `a message of the stream is malformed: ${why}`);
}
