import { Packr } from 'msgpackr';
import type { Value } from '../load/payload.js';
import type { Target } from '../load/target.js';
import { connectFrames, FrameSocket, listenForFrames } from './frame-socket.js';
import { PendingCalls } from './pending-calls.js';

const packr = new Packr({ useRecords: false });

/** The least that a container can do: decode, await the method, encode; no worker, no admission, no routing in between. */
export function serveTcpContainer(): Promise<number> {
  const instance = {
    async echo(value: unknown): Promise<unknown> {
      return value;
    },
  };
  return listenForFrames((socket) => {
    let running = 0;
    const frames = new FrameSocket(socket, (ref, body) => {
      running += 1;
      const [value] = packr.unpack(body) as [unknown];
      void instance.echo(value).then((answer) => {
        running -= 1;
        frames.write(ref, packr.pack(answer));
        if (running === 0) frames.flushNow();
        else frames.flushSoon();
      });
    });
  });
}

export async function connectTcpContainer(port: number): Promise<Target> {
  const pending = new PendingCalls();
  const frames = await connectFrames(port, (ref, body) => pending.settle(ref, packr.unpack(body) as Value));
  return {
    call: (value) =>
      new Promise((resolve) => {
        frames.write(pending.add(resolve), packr.pack([value]));
        if (pending.size === 1) frames.flushNow();
        else frames.flushSoon();
      }),
    close: async () => frames.close(),
  };
}
