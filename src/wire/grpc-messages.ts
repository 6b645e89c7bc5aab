import { HoldfastError } from '../common/errors.js';

/** The last message of a client that closes with an error: gRPC lets servers alone say why. */
export class CloseNotice {
  /** A WireError. */
  readonly error: Uint8Array;

  constructor(error: Uint8Array) {
    this.error = error;
  }
}

export type ChannelMessage = Uint8Array | CloseNotice;

/** How messages of a channel look as protobuf. */
export interface ChannelFormat {
  serialize(message: ChannelMessage): Buffer;
  /** @throws InvalidArgument */
  deserialize(bytes: Buffer): ChannelMessage;
}

// Field numbers and wire type 2: `LinkBatch.batch` and `Piece.data`, and `close_error`.
const batchTag = (1 << 3) | 2;
const closeErrorTag = (15 << 3) | 2;

/** The message is the field `batch` of a LinkBatch: one copy out, none in. */
export const linkBatchFormat: ChannelFormat = {
  serialize: (message) => {
    if (message instanceof CloseNotice) return lengthDelimited(closeErrorTag, message.error);
    return message.length === 0 ? Buffer.alloc(0) : lengthDelimited(batchTag, message);
  },
  deserialize: (bytes) => {
    if (bytes.length === 0) return bytes;
    if (bytes[0] === closeErrorTag) return new CloseNotice(fieldOf(bytes));
    if (bytes[0] !== batchTag) throw malformed('its first field is not the batch');
    return fieldOf(bytes);
  },
};

/** The message is an encoded protobuf message itself, which does not begin with the field `close_error`. */
export const encodedFormat: ChannelFormat = {
  serialize: (message) => {
    if (message instanceof CloseNotice) return lengthDelimited(closeErrorTag, message.error);
    return Buffer.isBuffer(message) ? message : Buffer.from(message.buffer, message.byteOffset, message.byteLength);
  },
  deserialize: (bytes) => (bytes[0] === closeErrorTag ? new CloseNotice(fieldOf(bytes)) : bytes),
};

/** A message of `pieceFormat`: a copy of the bytes as the field `data` of a Piece. */
export function encodePiece(bytes: Uint8Array): Buffer {
  return lengthDelimited(batchTag, bytes);
}

/** Written as `encodePiece` made it, read as its bytes. */
export const pieceFormat = {
  serialize: (piece: Buffer): Buffer => piece,
  /** @throws InvalidArgument */
  deserialize: (message: Buffer): Uint8Array => {
    if (message.length > 0 && message[0] !== batchTag) throw malformed('its first field is not the data');
    return message.length === 0 ? message : fieldOf(message);
  },
};

function lengthDelimited(tag: number, bytes: Uint8Array): Buffer {
  let header = 2;
  for (let rest = bytes.length >>> 7; rest > 0; rest >>>= 7) header += 1;
  const message = Buffer.allocUnsafe(header + bytes.length);
  message[0] = tag;
  let at = 1;
  let rest = bytes.length;
  for (; rest >= 0x80; rest >>>= 7) message[at++] = (rest & 0x7f) | 0x80;
  message[at] = rest;
  message.set(bytes, header);
  return message;
}

/** A view of the one field of a message. */
function fieldOf(bytes: Buffer): Buffer {
  let length = 0;
  for (let at = 1; at <= 5; at += 1) {
    const byte = bytes[at];
    if (byte === undefined) throw malformed('it is cut off');
    length += (byte & 0x7f) * 2 ** (7 * (at - 1));
    if (byte >= 0x80) continue;
    if (length !== bytes.length - at - 1) throw malformed(`it has ${bytes.length} bytes, its field says ${length}`);
    return bytes.subarray(at + 1);
  }
  throw malformed('its length is no number');
}

function malformed(why: string): HoldfastError {
  return new HoldfastError('InvalidArgument', `a message of the stream is malformed: ${why}`);
}
