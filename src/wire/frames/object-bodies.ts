import { HoldfastError } from '../../common/errors.js';
import type { Hash } from '../../common/volumes/entry.js';
import { decodeBody } from './frame-bodies.js';

/** Of one `ObjectPieceBody`, and of the answer to one `ObjectRangeBody`, at most. */
export const [objectPieceBytes, objectRangeBytes] = [1_048_576, 4_194_304];

/** Names of the requests that a container's worker answers itself. */
export const objectMethods = { put: 'PutObject', get: 'GetObject' } as const;

/** A part of an object on its way up, one after the other; the last one is answered when the object is stored. */
export interface ObjectPieceBody {
  /** The container's number for this upload. */
  readonly upload: number;
  readonly hash: Hash;
  readonly totalBytes: number;
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** Answered with these bytes of it; fewer where it ends before. */
export interface ObjectRangeBody {
  readonly hash: Hash;
  readonly offset: number;
  readonly length: number;
}

/** @throws InvalidArgument */
export function readObjectPiece(body: Uint8Array): ObjectPieceBody {
  const { upload, hash, totalBytes, offset, bytes } = decodeBody(body);
  if (!isCount(upload) || !isHash(hash) || !isCount(totalBytes) || !isCount(offset) || !(bytes instanceof Uint8Array))
    throw refused('a piece of an object has an upload, a hash, totalBytes, an offset and bytes');
  if (bytes.length > objectPieceBytes)
    throw refused(`a piece of an object has ${bytes.length} bytes, at most ${objectPieceBytes} may be`);
  return { upload, hash, totalBytes, offset, bytes };
}

/** @throws InvalidArgument */
export function readObjectRange(body: Uint8Array): ObjectRangeBody {
  const { hash, offset, length } = decodeBody(body);
  if (!isHash(hash) || !isCount(offset) || !isCount(length) || length === 0 || length > objectRangeBytes)
    throw refused(`a part of an object has a hash, an offset and a length of 1 to ${objectRangeBytes}`);
  return { hash, offset, length };
}

function isHash(value: unknown): value is Hash {
  return typeof value === 'string' && /^[0-9a-f]{64}$/.test(value);
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function refused(why: string): HoldfastError {
  return new HoldfastError('InvalidArgument', why);
}
