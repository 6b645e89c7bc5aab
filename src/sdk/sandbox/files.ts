import { type FileHandle, mkdir, open } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { HoldfastError } from '../../common/errors.js';
import { expected } from '../../common/option-checks.js';
import { pathProblem } from '../../common/session-options.js';
import type { CallLimits } from '../calls/call-limits.js';
import { bytesOf } from './bytes.js';
import { download } from './download.js';
import { pieceBytes } from './piece-window.js';
import type { SessionCalls } from './session-calls.js';
import { Upload, type UploadOptions } from './upload.js';

/** A file of up to this size is written in one call. */
const wholeFileBytes = pieceBytes;
/** Of a local file, read or written at once: each time takes a thread of Node's pool, and its wake-up. */
const localBytes = 1_048_576;

/** As of every result that is kept in memory. */
const longestReadBytes = 268_435_456;

/** How a file is written. */
export interface WriteOptions extends CallLimits {
  readonly append?: boolean;
  readonly makeParents?: boolean;
}

/** How a file comes to the sandbox or from there. */
export interface TransferOptions extends CallLimits {
  readonly makeParents?: boolean;
  /** Called with the bytes that have been moved so far. */
  readonly onProgress?: (bytes: number) => void;
}

export const encoding = (value: unknown): string | null =>
  typeof value === 'string' && Buffer.isEncoding(value) ? null : 'an encoding that Buffer knows';
export const writing = { append: expected.boolean, makeParents: expected.boolean } as const;
export const transferring = {
  makeParents: expected.boolean,
  onProgress: expected.callback,
} as const;

/** @throws InvalidArgument */
export function checkedPath(path: unknown): string {
  const wanted = pathProblem(path);
  if (wanted !== null) throw new HoldfastError('InvalidArgument', `a path in a sandbox must be ${wanted}`);
  return path as string;
}

/** All of a file. A session's code can put anything there, /dev/zero too. @throws PayloadTooLarge above 256 MiB */
export async function readAll(calls: SessionCalls, path: string): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of download(calls, checkedPath(path))) {
    pieces.push(piece);
    bytes += piece.length;
    if (bytes > longestReadBytes) throw tooLong(calls, path);
  }
  return pieces.length === 1 ? bufferOf(pieces[0] as Uint8Array) : Buffer.concat(pieces);
}

/** Gives the absolute path. */
export async function writeAll(
  calls: SessionCalls,
  { path, content }: { readonly path: string; readonly content: unknown },
  options: UploadOptions,
): Promise<string> {
  const bytes = bytesOf(content);
  const { append = false, makeParents = false } = options;
  const how = { append, makeParents };
  if (bytes.length <= wholeFileBytes) return await calls.call<string>('write', [checkedPath(path), bytes, how]);
  const upload = await Upload.open(calls, checkedPath(path), how);
  return await finished(upload, () => upload.write(bytes));
}

/** Streams a local file into the sandbox; gives its absolute path there. */
export async function uploadFile(
  calls: SessionCalls,
  { localPath, remotePath }: { readonly localPath: string; readonly remotePath: string },
  options: TransferOptions = {},
): Promise<string> {
  const file = await open(localPath, 'r');
  try {
    const upload = await Upload.open(calls, checkedPath(remotePath), { makeParents: options.makeParents ?? false });
    return await finished(upload, async () => {
      let [sending, reading] = [Buffer.allocUnsafeSlow(localBytes), Buffer.allocUnsafeSlow(localBytes)];
      let { bytesRead } = await file.read(sending, 0, localBytes, null);
      for (let sent = 0; bytesRead > 0; ) {
        // One is filled while the other is sent.
        const [next] = await Promise.all([
          file.read(reading, 0, localBytes, null),
          upload.write(sending.subarray(0, bytesRead)),
        ]);
        sent += bytesRead;
        options.onProgress?.(sent);
        bytesRead = next.bytesRead;
        [sending, reading] = [reading, sending];
      }
    });
  } finally {
    await file.close();
  }
}

/** Streams a file of the sandbox to this machine; gives its absolute path here. */
export async function downloadFile(
  calls: SessionCalls,
  { remotePath, localPath }: { readonly remotePath: string; readonly localPath: string },
  options: TransferOptions = {},
): Promise<string> {
  const target = resolve(localPath);
  const pieces = download(calls, checkedPath(remotePath));
  try {
    // Before anything is made here: the file may not be there.
    const step = await pieces.next();
    if (options.makeParents) await mkdir(dirname(target), { recursive: true });
    const file = await open(target, 'w');
    try {
      await writePieces(file, { first: step, pieces }, options.onProgress);
    } finally {
      await file.close();
    }
    return target;
  } finally {
    await pieces.return();
  }
}

/** Some are awaited while those before them are written. */
async function writePieces(
  file: FileHandle,
  {
    first,
    pieces,
  }: { readonly first: IteratorResult<Uint8Array, void>; readonly pieces: AsyncGenerator<Uint8Array, void> },
  onProgress: TransferOptions['onProgress'],
): Promise<void> {
  let writing = Promise.resolve();
  let received = 0;
  let waiting = 0;
  let batch: Uint8Array[] = [];
  const flush = async (): Promise<void> => {
    await writing;
    const [written, upTo] = [batch, received];
    batch = [];
    waiting = 0;
    writing = writeWhole(file, written).then(() => onProgress?.(upTo));
    writing.catch(() => undefined); // awaited before the next, and at the end
  };
  for (let step = first; !step.done; step = await pieces.next()) {
    batch.push(step.value);
    waiting += step.value.length;
    received += step.value.length;
    if (waiting >= localBytes) await flush();
  }
  if (waiting > 0) await flush();
  await writing;
}

async function writeWhole(file: FileHandle, pieces: readonly Uint8Array[]): Promise<void> {
  const { bytesWritten } = await file.writev(pieces);
  const whole = pieces.reduce((sum, { length }) => sum + length, 0);
  // A disk that is full takes a part, and says so when it is asked to take more.
  if (bytesWritten < whole) await file.writeFile(Buffer.concat(pieces).subarray(bytesWritten));
}

export function readStream(calls: SessionCalls, path: string): ReadableStream<Uint8Array> {
  const pieces = download(calls, checkedPath(path));
  return new ReadableStream<Uint8Array>(
    {
      pull: async (controller) => {
        const step = await pieces.next();
        if (step.done) controller.close();
        else controller.enqueue(step.value);
      },
      cancel: async () => {
        await pieces.return();
      },
    },
    { highWaterMark: 0 },
  );
}

export function writeStream(calls: SessionCalls, path: string, options: UploadOptions): WritableStream<Uint8Array> {
  let upload: Upload | null = null;
  return new WritableStream<Uint8Array>({
    start: async () => {
      upload = await Upload.open(calls, checkedPath(path), { makeParents: options.makeParents ?? false });
    },
    // A copy: nothing says that who writes to a stream may not use his buffer again before it is taken.
    write: async (piece) => await upload?.write(Uint8Array.from(bytesOf(piece))),
    close: async () => await upload?.end(),
    abort: async () => await upload?.abort(),
  });
}

function tooLong(calls: SessionCalls, path: string): HoldfastError {
  const message = `${path} in ${calls.label} has more than ${longestReadBytes} bytes; use readStream or downloadFile`;
  return new HoldfastError('PayloadTooLarge', message, { outcome: 'ran', details: { path, limit: longestReadBytes } });
}

/** Ends the upload, or gives it up where `write` fails. */
async function finished(upload: Upload, write: () => Promise<void>): Promise<string> {
  try {
    await write();
  } catch (e) {
    await upload.abort();
    throw e;
  }
  await upload.end();
  return upload.path;
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
