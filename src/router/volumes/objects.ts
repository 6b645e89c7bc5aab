import { createHash } from 'node:crypto';
import { HoldfastError } from '../../common/errors.js';
import { largestChunkBytes } from '../../common/volumes/chunk-layout.js';
import { objectKey } from '../../common/volumes/object-key.js';
import type {
  GetObjectRequest,
  ObjectPart,
  PutObjectReply,
  SignObjectsReply,
  SignObjectsRequest,
} from '../../wire/gen/holdfast/v1/router.js';
import type { RouterParts } from '../router-parts.js';
import type { Request } from '../service/request.js';
import { checkedHash, checkedHashes } from './checks.js';

type Parts = Pick<RouterParts, 'objects'>;

const partBytes = 262_144;
const readBytes = 4_194_304;
/** Each may hold a whole object in memory. */
const maxPutsAtOnce = 16;

/** Urls by which the client moves the bytes itself. */
export async function signObjects(
  { objects }: Parts,
  ask: SignObjectsRequest,
  { account }: Request,
): Promise<SignObjectsReply> {
  const { presigner } = objects;
  if (presigner === null) return { requests: [] };
  const sign = (hash: string) =>
    ask.for === 'put' ? presigner.put(objectKey(account, hash), hash) : presigner.get(objectKey(account, hash));
  const signed = await Promise.all(checkedHashes(ask.hashes).map(sign));
  return { requests: signed.map(({ url, headers }) => ({ url, headers: { ...headers } })) };
}

/**
 * Takes objects of clients where the object store has no urls to sign. Whoever puts one has reserved it (VolumeHolds, I2); what
 * nobody has goes with the next sweep.
 */
export function objectTaker({ objects }: Parts) {
  let underway = 0;
  const take = async (stream: AsyncIterable<ObjectPart>, request: Request): Promise<PutObjectReply> => {
    const { hash, bytes } = await received(stream);
    await objects.put(objectKey(request.account, hash), bytes);
    return {};
  };
  return async (stream: AsyncIterable<ObjectPart>, request: Request): Promise<PutObjectReply> => {
    if (underway === maxPutsAtOnce)
      throw new HoldfastError('Unavailable', `this router takes ${maxPutsAtOnce} objects at once; retry in a moment`);
    underway += 1;
    try {
      return await take(stream, request);
    } finally {
      underway -= 1;
    }
  };
}

/** An object in parts, read as they are taken. @throws NotFound */
export async function* giveObject(
  { objects }: Parts,
  ask: GetObjectRequest,
  { account, signal }: Request,
): AsyncGenerator<ObjectPart, void, undefined> {
  const hash = checkedHash(ask.hash);
  const key = objectKey(account, hash);
  for (let offset = 0; ; offset += readBytes) {
    signal.throwIfAborted();
    const range = await objects.getRange(key, offset, readBytes);
    if (range === null) throw new HoldfastError('NotFound', `object ${hash} is not in the object store`);
    for (let at = 0; at < range.length; at += partBytes) {
      const bytes = Buffer.from(range.buffer, range.byteOffset + at, Math.min(partBytes, range.length - at));
      yield { hash: '', bytes };
    }
    if (range.length < readBytes) return;
  }
}

async function received(stream: AsyncIterable<ObjectPart>): Promise<{ readonly hash: string; readonly bytes: Buffer }> {
  const pieces: Uint8Array[] = [];
  let [hash, length] = ['', 0];
  for await (const part of stream) {
    if (hash === '') hash = checkedHash(part.hash);
    length += part.bytes.length;
    if (length > largestChunkBytes)
      throw new HoldfastError('PayloadTooLarge', `an object of a volume has at most ${largestChunkBytes} bytes`);
    pieces.push(part.bytes);
  }
  const bytes = Buffer.concat(pieces);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  if (hash === sha256) return { hash, bytes };
  throw new HoldfastError(
    'InvalidArgument',
    `an object came with SHA-256 ${sha256}, it was announced as ${hash}: send it again`,
  );
}
