import { HoldfastError } from '../../common/errors.js';
import { decodeBody, encodeBody } from '../frames/frame-bodies.js';

/**
 * Messages of a link. A batch: `u8 type | f64 number | f64 number of the last batch received | frames`, little-endian; an
 * ack is a batch of number 0 without frames. `hello` and `welcome` carry MessagePack after the type; `bye` is its type alone.
 */
export const LinkMessage = { hello: 1, welcome: 2, batch: 3, ack: 4, bye: 5 } as const;

export const batchOffsets = { type: 0, number: 1, ack: 9, frames: 17 } as const;

/** The first message of a client on every channel. */
export interface Hello {
  readonly clientId: string;
  /** Secret of this link: who resumes it must know it. */
  readonly linkId: string;
  /** Number of this link among those of the client to this worker; a higher one fences the lower ones (C7). */
  readonly stream: number;
  /** It had a welcome before: no session is made for it. */
  readonly resume: boolean;
  /** The last batch that the client has received. */
  readonly received: number;
}

/** The answer. */
export interface Welcome {
  readonly bootId: string;
  /** False: the session that the client wants to resume is gone. */
  readonly resumed: boolean;
  /** The last batch that the worker has received. */
  readonly received: number;
}

export const bye: Uint8Array = Uint8Array.of(LinkMessage.bye);

const maxIdLength = 200;

export function encodeHello(hello: Hello): Uint8Array {
  return Buffer.concat([Buffer.of(LinkMessage.hello), encodeBody(hello)]);
}

/** @throws InvalidArgument */
export function decodeHello(message: Uint8Array): Hello {
  if (message[0] !== LinkMessage.hello) refuse(`expected a hello, got a message of type ${message[0]}`);
  const { clientId, linkId, stream, resume, received } = decodeBody(message.subarray(1));
  if (!isId(clientId) || !isId(linkId) || !isNumber(stream) || typeof resume !== 'boolean' || !isNumber(received)) {
    return refuse('a hello needs clientId, linkId, stream, resume and received');
  }
  return { clientId, linkId, stream, resume, received };
}

export function encodeWelcome(welcome: Welcome): Uint8Array {
  return Buffer.concat([Buffer.of(LinkMessage.welcome), encodeBody(welcome)]);
}

/** @throws InvalidArgument */
export function decodeWelcome(message: Uint8Array): Welcome {
  if (message[0] !== LinkMessage.welcome) refuse(`expected a welcome, got a message of type ${message[0]}`);
  const { bootId, resumed, received } = decodeBody(message.subarray(1));
  if (!isId(bootId) || typeof resumed !== 'boolean' || !isNumber(received)) {
    return refuse('a welcome needs bootId, resumed and received');
  }
  return { bootId, resumed, received };
}

export function encodeAck(received: number): Uint8Array {
  const message = Buffer.alloc(batchOffsets.frames);
  message[batchOffsets.type] = LinkMessage.ack;
  message.writeDoubleLE(received, batchOffsets.ack);
  return message;
}

function isId(value: unknown): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= maxIdLength;
}

function isNumber(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function refuse(why: string): never {
  throw new HoldfastError('InvalidArgument', `the link is broken: ${why}`);
}
