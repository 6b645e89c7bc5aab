import { Socket } from 'node:net';
import { Packr } from 'msgpackr';
import { FrameSocket } from '../frame-socket.js';
import { nothing, pathKinds } from './path-frames.js';

const packr = new Packr({ useRecords: false });
/** As its worker has passed it on. */
const socketFd = 4;

class Instance {
  async echo(value: unknown): Promise<unknown> {
    return value;
  }
}

/** Decodes, awaits the method and encodes, on the socket that it was started with. Resolves with no port: it listens on none. */
export async function servePathContainer(): Promise<number> {
  const instances = [new Instance()];
  let running = 0;
  const answer = (ref: number, body: Uint8Array): void => {
    running -= 1;
    frames.write(ref, body);
    if (running === 0) frames.flushNow();
    else frames.flushSoon();
  };
  const frames = new FrameSocket(new Socket({ fd: socketFd }), (ref, frame) => {
    running += 1;
    if (frame[0] === pathKinds.activate) {
      instances.push(new Instance());
      return answer(ref, nothing);
    }
    const [value] = packr.unpack(frame.subarray(1)) as [unknown];
    void instances[instances.length - 1]?.echo(value).then((result) => answer(ref, packr.pack(result)));
  });
  return 0;
}
