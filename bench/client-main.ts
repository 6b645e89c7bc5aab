import { inspect } from 'node:util';
import { connectGrpcStream } from './floors/grpc-stream.js';
import { connectGrpcUnary } from './floors/grpc-unary.js';
import { connectTcpContainer } from './floors/tcp-container.js';
import { connectTcpEcho } from './floors/tcp-echo.js';
import { checkTarget } from './load/check.js';
import { runClosedLoop } from './load/closed-loop.js';
import type { Destination, JobRequest } from './load/jobs.js';
import type { ColdTarget, Target } from './load/target.js';
import { followParent, tellParent } from './processes/parent.js';
import type { ProductTarget } from './product/target.js';

/** A load generator: does the jobs that its parent sends, one after the other. */
let target: Target | null = null;
let cold: ColdTarget | null = null;
let product: ProductTarget | null = null;

async function doJob(job: JobRequest): Promise<unknown> {
  switch (job.kind) {
    case 'open':
      target = await open(job.plan);
      return null;
    case 'check':
      return checkTarget(opened(target), job.plan);
    case 'load':
      return runClosedLoop(opened(target), job.plan);
    case 'items':
      return opened(product).items(job.plan);
    case 'coldNames':
      return opened(cold).coldNames(job.plan);
    case 'firstCalls':
      return opened(product).firstCalls(job.plan);
    default:
      return job satisfies never;
  }
}

async function open(destination: Destination): Promise<Target> {
  switch (destination.kind) {
    case 'tcp-echo':
      return connectTcpEcho(destination.port);
    case 'tcp-container':
      return connectTcpContainer(destination.port);
    case 'grpc-unary':
      return connectGrpcUnary(destination.port);
    case 'grpc-stream':
      return connectGrpcStream(destination.port);
    case 'holdfast': {
      // The floors' processes do without the SDK.
      const { connectProduct } = await import('./product/target.js');
      product = await connectProduct(destination);
      cold = product;
      return product;
    }
    case 'peer': {
      const { connectPeer } = await import('./peers/connect-peer.js');
      cold = await connectPeer(destination);
      return cold;
    }
    default:
      return destination satisfies never;
  }
}

function opened<T>(what: T | null): T {
  if (what === null) throw new Error('this load generator is connected to nothing that can do that');
  return what;
}

followParent();
process.on('message', (job: JobRequest) => {
  void doJob(job).then(
    (result) => tellParent({ result }),
    (error: unknown) => tellParent({ error: inspect(error) }),
  );
});
