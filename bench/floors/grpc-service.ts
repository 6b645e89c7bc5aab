import { type ChannelOptions, Server, ServerCredentials, type UntypedHandleCall } from '@grpc/grpc-js';

const asItIs = (bytes: Buffer): Buffer => bytes;
const bytesBothWays = {
  requestSerialize: asItIs,
  requestDeserialize: asItIs,
  responseSerialize: asItIs,
  responseDeserialize: asItIs,
};

export const echoService = {
  unary: { path: '/bench.Echo/Unary', requestStream: false, responseStream: false, ...bytesBothWays },
  stream: { path: '/bench.Echo/Stream', requestStream: true, responseStream: true, ...bytesBothWays },
} as const;

export const grpcOptions: ChannelOptions = {
  'grpc.max_receive_message_length': -1,
  'grpc.max_send_message_length': -1,
};

/** Resolves with the port. */
export function serveGrpc(name: keyof typeof echoService, handler: UntypedHandleCall): Promise<number> {
  const server = new Server(grpcOptions);
  server.addService({ [name]: echoService[name] }, { [name]: handler });
  return new Promise((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => {
      if (error) reject(error);
      else resolve(port);
    });
  });
}
