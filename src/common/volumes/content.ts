import { HoldfastError } from '../errors.js';
import { chunkAt, chunkCount, chunkNumber, largestChunkBytes, maxFileBytes } from './chunk-layout.js';
import { type ChunkList, decodeChunkList, encodeChunkList } from './chunk-list.js';
import { type FileContent, type FileEntry, type Hash, inlineBytes } from './entry.js';
import type { ObjectReader } from './object-reader.js';
import type { Uploads } from './uploads.js';

const zeros = Buffer.alloc(65_536);
/** Chunks that are fetched before they are asked for. */
const readAheadChunks = 2;
const piecesInBlock = 1_024;

/** What a file's bytes are stored as. */
export interface StoredContent {
  readonly size: number;
  readonly content: FileContent;
}

/** A chunk that is kept elsewhere, where it was compared with its hash. */
export interface HashedChunk {
  readonly hash: Hash;
  readonly length: number;
  /** The same each time; only where they are not in the object store yet. */
  readonly bytes: () => Promise<Uint8Array>;
}

/** Stores a file as its bytes come; parts that are all zeros are holes. @throws PayloadTooLarge */
export async function storeStream(uploads: Uploads, bytes: AsyncIterable<Uint8Array>): Promise<StoredContent> {
  const list: (Hash | null)[] = [];
  const pieces = new Pieces();
  let [size, stored] = [0, 0];
  const takeChunk = async (): Promise<void> => {
    const chunk = pieces.take();
    const hash = await storeChunk(uploads, chunk);
    list.push(hash);
    if (hash !== null) stored += chunk.length;
  };
  for await (const given of bytes) {
    for (let rest = given; rest.length > 0; ) {
      const room = chunkAt(size - pieces.length, maxFileBytes).length - pieces.length;
      const piece = rest.subarray(0, room);
      rest = rest.subarray(piece.length);
      pieces.add(piece);
      size += piece.length;
      if (size > maxFileBytes) throw tooLarge();
      if (piece.length === room) await takeChunk();
    }
  }
  if (size <= inlineBytes) return { size, content: { kind: 'inline', bytes: pieces.take() } };
  if (pieces.length > 0) await takeChunk();
  return await chunked(uploads, { size, list, stored });
}

/**
 * Stores a file by its chunks: the bytes of one, as they are or with their hash, the hash of one that is stored already, or null
 * for a hole.
 *
 * @returns also its list; empty where it is kept inline
 */
export async function storeChunks(
  uploads: Uploads,
  size: number,
  chunks: Iterable<Buffer | Hash | null> | AsyncIterable<Buffer | HashedChunk | Hash | null>,
): Promise<{ readonly stored: StoredContent; readonly list: ChunkList }> {
  if (size <= inlineBytes) {
    const bytes = Buffer.alloc(size);
    for await (const chunk of chunks) if (chunk !== null) bytes.set(await bytesOf(chunk));
    return { stored: { size, content: { kind: 'inline', bytes } }, list: [] };
  }
  const list: (Hash | null)[] = [];
  let stored = 0;
  for await (const chunk of chunks) {
    const { length } = chunkNumber(list.length, size);
    if (chunk !== null && typeof chunk !== 'string') checkLength(chunk, { index: list.length, length });
    const hash = chunk === null || typeof chunk === 'string' ? chunk : await storeChunk(uploads, chunk);
    list.push(hash);
    if (hash !== null) stored += length;
  }
  return { stored: await chunked(uploads, { size, list, stored }), list };
}

/** The chunks of a file; none of one that is kept inline. @throws Internal, Unavailable */
export async function chunksOf(
  reader: Pick<ObjectReader, 'bytes'>,
  { size, content }: StoredContent,
): Promise<ChunkList> {
  if (content.kind === 'inline') return [];
  return decodeChunkList(await reader.bytes(content.list), chunkCount(size));
}

/** The bytes of a file, chunk by chunk, some of them fetched ahead. @throws Internal, Unavailable */
export async function* readContent(reader: ObjectReader, file: FileEntry): AsyncGenerator<Uint8Array, void, undefined> {
  if (file.content.kind === 'inline') {
    if (file.size > 0) yield file.content.bytes;
    return;
  }
  const list = await chunksOf(reader, file);
  const ahead: Promise<Uint8Array>[] = [];
  for (let index = 0, next = 0; index < list.length; index++) {
    while (next < list.length && next <= index + readAheadChunks) {
      const chunk = readChunk(reader, file, { index: next, hash: list[next] ?? null });
      // Its failure is for whoever comes to it; who stops before never does.
      chunk.catch(() => undefined);
      ahead.push(chunk);
      next++;
    }
    yield await (ahead.shift() as Promise<Uint8Array>);
  }
}

async function readChunk(
  reader: ObjectReader,
  file: FileEntry,
  { index, hash }: { readonly index: number; readonly hash: Hash | null },
): Promise<Uint8Array> {
  const { length } = chunkNumber(index, file.size);
  const bytes = hash === null ? Buffer.alloc(length) : await reader.object(hash);
  checkLength(bytes, { index, length });
  return bytes;
}

/** @throws Internal */
function checkLength(
  bytes: { readonly length: number },
  { index, length }: { readonly index: number; readonly length: number },
): void {
  if (bytes.length === length) return;
  throw new HoldfastError('Internal', `chunk ${index} of a file has ${bytes.length} bytes, its list says ${length}`);
}

/** @throws Internal for one that is stored: a file that short has none */
async function bytesOf(chunk: Buffer | HashedChunk | Hash): Promise<Uint8Array> {
  if (typeof chunk !== 'string') return chunk instanceof Uint8Array ? chunk : await chunk.bytes();
  throw new HoldfastError('Internal', `a file that is kept inline has chunk ${chunk}`);
}

async function storeChunk(uploads: Uploads, chunk: Buffer | HashedChunk): Promise<Hash | null> {
  if (chunk.length > largestChunkBytes) throw new RangeError(`a chunk of ${chunk.length} bytes`);
  if (!(chunk instanceof Uint8Array)) return await uploads.known(chunk.hash, chunk.length, chunk.bytes);
  return isZero(chunk) ? null : await uploads.object(chunk);
}

async function chunked(
  uploads: Uploads,
  { size, list, stored }: { readonly size: number; readonly list: ChunkList; readonly stored: number },
): Promise<StoredContent> {
  return { size, content: { kind: 'chunks', storedBytes: stored, list: await uploads.store(encodeChunkList(list)) } };
}

/** Bytes that come piece by piece, of any size, without a copy for each. */
class Pieces {
  #blocks: Uint8Array[] = [];
  #pieces: Uint8Array[] = [];
  length = 0;

  add(piece: Uint8Array): void {
    this.#pieces.push(piece);
    this.length += piece.length;
    if (this.#pieces.length < piecesInBlock) return;
    this.#blocks.push(Buffer.concat(this.#pieces));
    this.#pieces = [];
  }

  take(): Buffer {
    const bytes = Buffer.concat([...this.#blocks, ...this.#pieces]);
    [this.#blocks, this.#pieces, this.length] = [[], [], 0];
    return bytes;
  }
}

function isZero(bytes: Buffer): boolean {
  for (let at = 0; at < bytes.length; at += zeros.length) {
    const end = Math.min(at + zeros.length, bytes.length);
    if (bytes.compare(zeros, 0, end - at, at, end) !== 0) return false;
  }
  return true;
}

function tooLarge(): HoldfastError {
  return new HoldfastError('PayloadTooLarge', `a file in a volume has at most ${maxFileBytes} bytes`);
}
