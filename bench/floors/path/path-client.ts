import { Packr } from 'msgpackr';
import { firstPayload } from '../../load/first-calls.js';
import type { Value } from '../../load/payload.js';
import type { Target } from '../../load/target.js';
import { connectFrames } from '../frame-socket.js';
import { openGrpcStream } from '../grpc-stream.js';
import { PendingCalls } from '../pending-calls.js';
import { callFrame, firstCallFrame } from './path-frames.js';

const packr = new Packr({ useRecords: false });

/** @param ports of the router and of the worker */
export async function connectPath([routerPort = 0, workerPort = 0]: readonly number[]): Promise<Target> {
  const router = openGrpcStream(routerPort);
  const worker = await openFrames(workerPort);
  return {
    call: async (value) => packr.unpack(await worker.ask(callFrame(packr.pack([value])))) as Value,
    firstCall: async (className, name) => {
      const known = `${className}:${name}`;
      await router.ask(Buffer.from(known));
      packr.unpack(await worker.ask(firstCallFrame(known, callFrame(packr.pack([firstPayload])))));
      return async () => undefined;
    },
    close: async () => {
      router.close();
      worker.close();
    },
  };
}

/** To the worker calls go on a connection of their own, as the product's do. */
async function openFrames(port: number) {
  const pending = new PendingCalls<Buffer>();
  const frames = await connectFrames(port, (ref, body) => pending.settle(ref, body));
  return {
    ask: (body: Uint8Array): Promise<Buffer> =>
      new Promise((resolve) => {
        frames.write(pending.add(resolve), body);
        if (pending.size === 1) frames.flushNow();
        else frames.flushSoon();
      }),
    close: () => frames.close(),
  };
}
