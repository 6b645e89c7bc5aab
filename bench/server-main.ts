import { serveGrpcStream } from './floors/grpc-stream.js';
import { serveGrpcUnary } from './floors/grpc-unary.js';
import { servePathContainer } from './floors/path/path-container.js';
import { servePathWorker } from './floors/path/path-worker.js';
import { serveTcpContainer } from './floors/tcp-container.js';
import { serveTcpEcho } from './floors/tcp-echo.js';
import { followParent, tellParent } from './processes/parent.js';

/** The server of one floor, in a process of its own; says on which port it listens. */
const floors: Readonly<Record<string, (args: readonly string[]) => Promise<number>>> = {
  'tcp-echo': serveTcpEcho,
  'tcp-container': serveTcpContainer,
  'grpc-unary': serveGrpcUnary,
  'grpc-stream': serveGrpcStream,
  'path-worker': servePathWorker,
  'path-container': servePathContainer,
};

followParent();
const serve = floors[process.argv[2] ?? ''];
if (serve === undefined) throw new Error(`no floor '${process.argv[2]}'; expected ${Object.keys(floors).join(', ')}`);
tellParent({ port: await serve(process.argv.slice(3)) });
