import { fork } from 'node:child_process';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { FrameSocket, listenForFrames } from '../frame-socket.js';
import { PendingCalls } from '../pending-calls.js';
import { activate, nothing, pathKinds, readMake } from './path-frames.js';
import { PathPins } from './path-pins.js';

/** Forwards calls to one container, unread; what is new is written down, then told to its client and made there. */
export async function servePathWorker([redisUrl = '']: readonly string[]): Promise<number> {
  const pins = await PathPins.open(redisUrl);
  const pending = new PendingCalls<Buffer>();
  const container = new FrameSocket(await startContainer(), (ref, body) => pending.settle(ref, body));
  const ask = (frame: Buffer, onAnswer: (answer: Buffer) => void): void =>
    container.write(pending.add(onAnswer), frame);
  return listenForFrames((socket) => {
    let arriving: { readonly ref: number; readonly frame: Buffer }[] = [];
    const answers = new FrameSocket(socket, (ref, frame) => {
      if (frame[0] === pathKinds.call) forward(ref, frame);
      else arriving.push({ ref, frame });
    });
    const forward = (ref: number, frame: Buffer): void =>
      ask(frame, (answer) => {
        answers.write(ref, answer);
        if (pending.size === 0) answers.flushNow();
        else answers.flushSoon();
      });
    const make = async (frames: typeof arriving): Promise<void> => {
      await pins.make(frames.map(({ frame }) => readMake(frame)));
      for (const { ref } of frames) {
        ask(activate, () => undefined);
        answers.write(ref, nothing);
      }
      container.flushNow();
      answers.flushNow();
    };
    // Runs after the reader: what one chunk brought goes on together.
    socket.on('data', () => {
      container.flushNow();
      if (arriving.length === 0) return;
      void make(arriving);
      arriving = [];
    });
  });
}

/** Resolves with the socket to it, once it listens there. */
async function startContainer(): Promise<Socket> {
  const main = fileURLToPath(new URL('../../server-main.ts', import.meta.url));
  const child = fork(main, ['path-container'], { stdio: ['ignore', 'inherit', 'inherit', 'ipc', 'pipe'] });
  child.once('exit', () => process.exit(1));
  await once(child, 'message');
  return child.stdio[4] as Socket;
}
