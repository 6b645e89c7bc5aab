import { Packr } from 'msgpackr';
import { firstPayload } from '../../load/first-calls.js';
import type { Value } from '../../load/payload.js';
import type { Target } from '../../load/target.js';
import { connectFrames } from '../frame-socket.js';
import { PendingCalls } from '../pending-calls.js';
import { callFrame, makeFrame } from './path-frames.js';

const packr = new Packr({ useRecords: false });

/** @param port of the worker */
export async function connectPath([port = 0]: readonly number[]): Promise<Target> {
  const worker = await openFrames(port);
  const call = async (value: unknown) => packr.unpack(await worker.ask(callFrame(packr.pack([value]))));
  return {
    call: async (value) => (await call(value)) as Value,
    firstCall: async (className, name) => {
      await worker.ask(makeFrame(`${className}:${name}`));
      await call(firstPayload);
      return async () => undefined;
    },
    close: async () => worker.close(),
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
