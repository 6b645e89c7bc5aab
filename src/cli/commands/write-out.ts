import type { Writable } from 'node:stream';

/** Resolves when the stream takes more: a slow reader slows down what is printed. */
export function writeOut(stream: Writable, bytes: Uint8Array): Promise<void> {
  if (stream.write(bytes) || stream.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      stream.off('drain', done);
      stream.off('close', done);
      resolve();
    };
    stream.on('drain', done);
    stream.on('close', done);
  });
}
