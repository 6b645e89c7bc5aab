import { Client, credentials, type ServerDuplexStream } from '@grpc/grpc-js';
import type { Target } from '../load/target.js';
import { echoService, grpcOptions, serveGrpc } from './grpc-service.js';
import { PendingCalls } from './pending-calls.js';

/** u32 length of the body | u32 ref | body, any number of them in one message */
const headerBytes = 8;
/** Beyond this a batch leaves at once: large payloads are not merged. */
const batchBytes = 65_536;

/** Whole messages go back as they came, batches too. */
export function serveGrpcStream(): Promise<number> {
  return serveGrpc('stream', (stream: ServerDuplexStream<Buffer, Buffer>) => {
    stream.on('data', (batch: Buffer) => stream.write(batch));
    stream.on('end', () => stream.end());
    stream.on('error', () => undefined); // the load generator ended
  });
}

export async function connectGrpcStream([port = 0]: readonly number[]): Promise<Target> {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), grpcOptions);
  const { path, requestSerialize, responseDeserialize } = echoService.stream;
  const stream = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
  const pending = new PendingCalls();
  stream.on('data', (batch: Buffer) => settleAll(pending, batch));
  stream.on('error', () => undefined); // ours at close; else the checker waits in vain, within its bound
  let parts: Uint8Array[] = [];
  let bytes = 0;
  const flush = (): void => {
    if (bytes === 0) return;
    const batch = Buffer.concat(parts, bytes);
    parts = [];
    bytes = 0;
    stream.write(batch);
  };
  return {
    call: (value) =>
      new Promise((resolve) => {
        const body = value as Uint8Array;
        parts.push(header(body.length, pending.add(resolve)), body);
        bytes += headerBytes + body.length;
        if (pending.size === 1 || bytes >= batchBytes) flush();
        else if (parts.length === 2) setImmediate(flush);
      }),
    close: async () => {
      stream.cancel();
      client.close();
    },
  };
}

function header(length: number, ref: number): Buffer {
  const bytes = Buffer.allocUnsafe(headerBytes);
  bytes.writeUInt32LE(length, 0);
  bytes.writeUInt32LE(ref, 4);
  return bytes;
}

function settleAll(pending: PendingCalls, batch: Buffer): void {
  let at = 0;
  while (at < batch.length) {
    const end = at + headerBytes + batch.readUInt32LE(at);
    pending.settle(batch.readUInt32LE(at + 4), batch.subarray(at + headerBytes, end));
    at = end;
  }
}
