import { MessageChannel } from 'node:worker_threads';

/** Of less nobody notices anything. */
const leastBytes = 16_384;
const { port1: nowhere } = new MessageChannel();
nowhere.close();

/**
 * Gives the memory of bytes back that nobody looks at any more; they are empty afterwards, and so is every view of the same memory.
 * Where much memory outside of V8's heap comes and goes V8 collects the whole heap for it, every 25 MB say, which is more work than
 * the bytes are. What is transferred is not its sender's any more: to a port that is closed, it is nobody's.
 */
export function freeBytes({ buffer }: Uint8Array): void {
  // Node's pool of small buffers is everybody's.
  const isShared = !(buffer instanceof ArrayBuffer) || buffer.byteLength === Buffer.poolSize;
  if (!isShared && buffer.byteLength >= leastBytes) nowhere.postMessage(null, [buffer]);
}
