import { fork } from 'node:child_process';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { connect } from 'nats';
import { FrameSocket, listenForFrames } from '../frame-socket.js';
import { PendingCalls } from '../pending-calls.js';
import { activate, checkSubject, pathKinds, readFirstCall } from './path-frames.js';
import { PathPins } from './path-pins.js';

/** Forwards calls to one container, unread; what is new is written down first, and made there before its call goes on. */
export async function servePathWorker([redisUrl = '', natsUrl = '']: readonly string[]): Promise<number> {
  const pins = await PathPins.open(redisUrl);
  const bus = await connect({ servers: natsUrl });
  bus.subscribe(checkSubject, { callback: (_, message) => void message.respond() });
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
    const arrive = async (frames: typeof arriving): Promise<void> => {
      const found = frames.map(({ ref, frame }) => ({ ref, ...readFirstCall(frame) }));
      const names = found.map(({ name }) => name);
      await pins.change(names, 'placing', 'active');
      for (const { ref, call } of found) {
        ask(activate, () => {
          forward(ref, call);
          if (pending.size === 1) container.flushNow();
          else container.flushSoon();
        });
      }
      container.flushNow();
    };
    // Runs after the reader: what one chunk brought goes on together.
    socket.on('data', () => {
      container.flushNow();
      if (arriving.length === 0) return;
      void arrive(arriving);
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
