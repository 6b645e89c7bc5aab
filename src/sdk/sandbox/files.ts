import { type FileHandle, mkdir, open } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { HoldfastError } from '../../common/errors.js';
import { freeBytes } from '../../common/free-bytes.js';
import { expected } from '../../common/option-checks.js';
import { pathProblem } from '../../common/session-options.js';
import type { CallLimits } from '../calls/call-limits.js';
import { bytesOf } from './bytes.js';
import { download } from './download.js';
import { onThisMachine } from './local-file.js';
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
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of download(calls, checkedPath(path))) {
    pieces.push(Buffer.from(piece));
    bytes += piece.length;
    if (bytes > longestReadBytes) throw tooLong(calls, path);
  }
  return pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces);
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
  const opened = await onThisMachine('read', localPath, () => open(localPath, 'r'));
  const read = (into: Buffer) => onThisMachine('read', localPath, () => opened.read(into, 0, localBytes, null));
  try {
    let [sending, reading] = [Buffer.allocUnsafeSlow(localBytes), Buffer.allocUnsafeSlow(localBytes)];
    // Before anything is made there: a directory opens, and cannot be read.
    const first = await read(sending);
    const upload = await Upload.open(calls, checkedPath(remotePath), { makeParents: options.makeParents ?? false });
    return await finished(upload, async () => {
      let { bytesRead } = first;
      for (let sent = 0; bytesRead > 0; ) {
        // One is filled while the other is sent.
        const [next] = await Promise.all([read(reading), upload.write(sending.subarray(0, bytesRead))]);
        sent += bytesRead;
        options.onProgress?.(sent);
        bytesRead = next.bytesRead;
        [sending, reading] = [reading, sending];
      }
    });
  } finally {
    await opened.close();
  }
}

/** Streams a file of the sandbox to this machine; gives its absolute path here. */
export async function downloadFile(
  calls: SessionCalls,
  { remotePath, localPath }: { readonly remotePath: string; readonly localPath: string },
  options: TransferOptions = {},
): Promise<string> {
  const target = await onThisMachine('write', localPath, async () => resolve(localPath));
  const pieces = download(calls, checkedPath(remotePath));
  try {
    // Before anything is made here: the file may not be there.
    const step = await pieces.next();
    const file = await onThisMachine('write', target, async () => {
      if (options.makeParents) await mkdir(dirname(target), { recursive: true });
      return await open(target, 'w');
    });
    try {
      await writePieces({ file, path: target }, { first: step, pieces }, options.onProgress);
    } finally {
      await file.close();
    }
    return target;
  } finally {
    await pieces.return();
  }
}

/** What comes is put together in one buffer while another one is written. */
async function writePieces(
  { file, path }: { readonly file: FileHandle; readonly path: string },
  {
    first,
    pieces,
  }: { readonly first: IteratorResult<Uint8Array, void>; readonly pieces: AsyncGenerator<Uint8Array, void> },
  onProgress: TransferOptions['onProgress'],
): Promise<void> {
  if (first.done) return;
  let received = first.value.length;
  await onThisMachine('write', path, () => file.writeFile(first.value));
  onProgress?.(received);
  let step = await pieces.next();
  // A small file has come whole.
  if (step.done) return;
  let [filling, other] = [Buffer.allocUnsafeSlow(localBytes), Buffer.allocUnsafeSlow(localBytes)];
  let filled = 0;
  let writing = Promise.resolve();
  const flush = async (): Promise<void> => {
    await writing;
    const [full, upTo] = [filling.subarray(0, filled), received];
    writing = onThisMachine('write', path, () => file.writeFile(full)).then(() => onProgress?.(upTo));
    writing.catch(() => undefined); // awaited before the next, and at the end
    [filling, other] = [other, filling];
    filled = 0;
  };
  for (; !step.done; step = await pieces.next()) {
    for (let piece: Uint8Array = step.value; piece.length > 0; ) {
      const taken = Math.min(piece.length, localBytes - filled);
      filling.set(piece.subarray(0, taken), filled);
      filled += taken;
      received += taken;
      piece = piece.subarray(taken);
      if (filled === localBytes) await flush();
    }
  }
  if (filled > 0) await flush();
  await writing;
  for (const buffer of [filling, other]) freeBytes(buffer);
}

export function readStream(calls: SessionCalls, path: string): ReadableStream<Uint8Array> {
  const pieces = download(calls, checkedPath(path));
  return new ReadableStream<Uint8Array>(
    {
      pull: async (controller) => {
        const step = await pieces.next();
        if (step.done) controller.close();
        // A copy, which is his who reads.
        else controller.enqueue(new Uint8Array(step.value));
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
