import { bytesOf } from '../sandbox/bytes.js';
import type { Bytes } from '../sandbox/types.js';

/** What somebody wants to be written, as it comes. @throws InvalidArgument */
export async function* piecesOf(content: unknown): AsyncGenerator<Uint8Array, void, undefined> {
  if (typeof content === 'object' && content !== null && Symbol.asyncIterator in content) {
    // A copy: its maker may use the same memory for the next piece.
    for await (const piece of content as AsyncIterable<Bytes>) yield Uint8Array.from(bytesOf(piece));
    return;
  }
  yield bytesOf(content);
}

/** The same in pieces of `length` bytes, but for the last one, which there always is. @throws InvalidArgument */
export async function* cutContent(
  content: unknown,
  length: number,
): AsyncGenerator<{ readonly bytes: Uint8Array; readonly isLast: boolean }, void, undefined> {
  let waiting: Uint8Array[] = [];
  let waitingBytes = 0;
  for await (const piece of piecesOf(content)) {
    waiting.push(piece);
    waitingBytes += piece.length;
    if (waitingBytes <= length) continue;
    let rest = waiting.length === 1 ? piece : Buffer.concat(waiting);
    for (; rest.length > length; rest = rest.subarray(length)) yield { bytes: rest.subarray(0, length), isLast: false };
    waiting = [rest];
    waitingBytes = rest.length;
  }
  yield { bytes: Buffer.concat(waiting), isLast: true };
}
