import { ByteReader, ByteWriter } from './binary.js';
import type { Hash } from './entry.js';

/** Objects of a file by chunk number; null: a hole, all zeros. */
export type ChunkList = readonly (Hash | null)[];

const formatVersion = 1;
const hashBytes = 32;

export function encodeChunkList(list: ChunkList): Buffer {
  const writer = new ByteWriter();
  writer.u8(formatVersion);
  for (let at = 0; at < list.length; ) {
    const isHole = list[at] === null;
    let end = at;
    while (end < list.length && (list[end] === null) === isHole) end++;
    // Runs, so that a hole of any size is a few bytes.
    writer.u8(isHole ? 0 : 1);
    writer.count(end - at);
    if (!isHole) for (const hash of list.slice(at, end)) writer.raw(Buffer.from(hash as Hash, 'hex'));
    at = end;
  }
  return writer.finish();
}

/** @param count how many chunks the file has. @throws Internal for what `encodeChunkList` does not write */
export function decodeChunkList(bytes: Uint8Array, count: number): ChunkList {
  const reader = new ByteReader(bytes, 'a list of chunks');
  if (reader.u8() !== formatVersion) throw reader.wrong('is of another version');
  const list: (Hash | null)[] = [];
  let before: number | null = null;
  while (list.length < count) {
    const kind = reader.u8();
    const length = reader.count(count - list.length);
    if (kind > 1 || kind === before || length === 0) throw reader.wrong('has runs that were not written so');
    before = kind;
    for (let i = 0; i < length; i++) list.push(kind === 0 ? null : reader.raw(hashBytes).toString('hex'));
  }
  reader.end();
  return list;
}
