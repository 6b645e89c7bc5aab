import type { Target } from '../load/target.js';
import { connectFrames, FrameSocket, listenForFrames } from './frame-socket.js';
import { PendingCalls } from './pending-calls.js';

/** The transport alone: whatever arrives goes back. */
export function serveTcpEcho(): Promise<number> {
  return listenForFrames((socket) => {
    const frames = new FrameSocket(socket, (ref, body) => frames.write(ref, body));
    // Runs after the reader, so all answers to one chunk leave in one write.
    socket.on('data', () => frames.flushNow());
  });
}

export async function connectTcpEcho([port = 0]: readonly number[]): Promise<Target> {
  const pending = new PendingCalls();
  const frames = await connectFrames(port, (ref, body) => pending.settle(ref, body));
  return {
    call: (value) =>
      new Promise((resolve) => {
        frames.write(pending.add(resolve), value as Uint8Array);
        if (pending.size === 1) frames.flushNow();
        else frames.flushSoon();
      }),
    close: async () => frames.close(),
  };
}
