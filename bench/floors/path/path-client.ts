import { Packr } from 'msgpackr';
import { firstPayload } from '../../load/first-calls.js';
import type { Value } from '../../load/payload.js';
import type { Target } from '../../load/target.js';
import { openGrpcStream } from '../grpc-stream.js';
import { callFrame, firstCallFrame } from './path-frames.js';

const packr = new Packr({ useRecords: false });

/** @param ports of the router and of the worker */
export async function connectPath([routerPort = 0, workerPort = 0]: readonly number[]): Promise<Target> {
  const router = openGrpcStream(routerPort);
  const worker = openGrpcStream(workerPort);
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
