import { createHash } from 'node:crypto';
import { closeSync, linkSync, lstatSync, openSync, readSync, rmSync, writeFileSync } from 'node:fs';
import { hashOf } from '../../../common/volumes/object-reader.js';

/** Bytes that came from elsewhere. */
export interface ArrivedChunk {
  readonly hash: string;
  readonly bytes: Uint8Array;
  /** Where they are to be kept. */
  readonly path: string;
}

/** Bytes in a file of this host, which is removed but never changed. */
export interface NearChunk {
  readonly hash: string;
  readonly from: string;
  readonly path: string;
}

const pieceBytes = 1_048_576;
const zeros = Buffer.alloc(pieceBytes);

/**
 * Keeps a chunk as a file; waits for the disk. How many bytes it has; null: they have another hash, or a file is not there or
 * cannot be linked, and nothing is kept.
 *
 * @throws what the disk says to bytes, and nothing is left there
 */
export function keepVerified(chunk: ArrivedChunk | NearChunk): number | null {
  // What a thread that died has left there may be a link to a stored object: whoever wrote into it would change that.
  rmSync(chunk.path, { force: true });
  return 'bytes' in chunk ? keepBytes(chunk) : keepLink(chunk);
}

function keepBytes({ hash, bytes, path }: ArrivedChunk): number | null {
  if (hashOf(bytes) !== hash) return null;
  try {
    writeFileSync(path, bytes, { mode: 0o600 });
  } catch (error) {
    rmSync(path, { force: true });
    throw error;
  }
  return bytes.length;
}

/** What is read is what was linked, whatever has its old name by then. */
function keepLink({ hash, from, path }: NearChunk): number | null {
  try {
    // What is kept is read by whoever serves the kernel: it must not make him wait.
    if (!lstatSync(from).isFile()) return null;
    linkSync(from, path);
  } catch {
    // On another disk, or gone.
    return null;
  }
  try {
    const found = measured(path);
    if (found.hash === hash) return found.bytes;
  } catch {
    // Who asks for its bytes hears why.
  }
  rmSync(path, { force: true });
  return null;
}

/** The hash of a file of this process; null: all of it is zeros. Waits for the disk. @throws what the disk says */
export function hashOfFile(path: string): string | null {
  const { hash, isZero } = measured(path);
  return isZero ? null : hash;
}

function measured(path: string): { readonly hash: string; readonly bytes: number; readonly isZero: boolean } {
  const file = openSync(path, 'r');
  try {
    const [hash, piece] = [createHash('sha256'), Buffer.allocUnsafeSlow(pieceBytes)];
    let [bytes, isZero] = [0, true];
    for (let got = readSync(file, piece); got > 0; got = readSync(file, piece)) {
      hash.update(piece.subarray(0, got));
      isZero &&= piece.compare(zeros, 0, got, 0, got) === 0;
      bytes += got;
    }
    return { hash: hash.digest('hex'), bytes, isZero };
  } finally {
    closeSync(file);
  }
}
