import { Client, credentials, type ServerDuplexStream } from '@grpc/grpc-js';
import type { Target } from '../load/target.js';
import { FrameBatches, readBatch } from './frame-batches.js';
import { echoService, grpcOptions, serveGrpc } from './grpc-service.js';
import { PendingCalls } from './pending-calls.js';

/** Whole messages go back as they came, batches too. */
export function serveGrpcStream(): Promise<number> {
  return serveGrpc('stream', (stream: ServerDuplexStream<Buffer, Buffer>) => {
    stream.on('data', (batch: Buffer) => stream.write(batch));
    stream.on('end', () => stream.end());
    stream.on('error', () => undefined); // the load generator ended
  });
}

export async function connectGrpcStream([port = 0]: readonly number[]): Promise<Target> {
  const { ask, close } = openGrpcStream(port);
  return { call: (value) => ask(value as Uint8Array), close: async () => close() };
}

/** Frames on a bidi stream, each answered by one of the same number. */
function openGrpcStream(port: number): {
  readonly ask: (body: Uint8Array) => Promise<Buffer>;
  readonly close: () => void;
} {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), grpcOptions);
  const { path, requestSerialize, responseDeserialize } = echoService.stream;
  const stream = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
  const pending = new PendingCalls<Buffer>();
  stream.on('data', (batch: Buffer) => readBatch(batch, (ref, body) => pending.settle(ref, body)));
  stream.on('error', () => undefined); // ours at close; else the checker waits in vain, within its bound
  const batches = new FrameBatches((batch) => void stream.write(batch));
  return {
    ask: (body) =>
      new Promise((resolve) => {
        batches.write(pending.add(resolve), body);
        if (pending.size === 1) batches.flushNow();
        else batches.flushSoon();
      }),
    close: () => {
      stream.cancel();
      client.close();
    },
  };
}
