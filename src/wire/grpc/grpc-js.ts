import { createRequire } from 'node:module';
import type * as GrpcJs from '@grpc/grpc-js';

let loaded: typeof GrpcJs | null = null;

/** grpc-js, loaded when a client first needs it: most containers never do, and it takes longer than Node's own start. */
export function grpcJs(): typeof GrpcJs {
  loaded ??= createRequire(import.meta.url)('@grpc/grpc-js') as typeof GrpcJs;
  return loaded;
}
