import { Client, credentials, type ServerUnaryCall, type sendUnaryData } from '@grpc/grpc-js';
import type { Target } from '../load/target.js';
import { echoService, grpcOptions, serveGrpc } from './grpc-service.js';

export function serveGrpcUnary(): Promise<number> {
  return serveGrpc('unary', (call: ServerUnaryCall<Buffer, Buffer>, reply: sendUnaryData<Buffer>) =>
    reply(null, call.request),
  );
}

export async function connectGrpcUnary([port = 0]: readonly number[]): Promise<Target> {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), grpcOptions);
  const { path, requestSerialize, responseDeserialize } = echoService.unary;
  return {
    call: (value) =>
      new Promise((resolve, reject) => {
        client.makeUnaryRequest(path, requestSerialize, responseDeserialize, value as Buffer, (error, answer) => {
          if (answer === undefined) reject(error ?? new Error('gRPC answered with neither a value nor an error'));
          else resolve(answer);
        });
      }),
    close: async () => client.close(),
  };
}
