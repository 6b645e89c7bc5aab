import { inspect } from 'node:util';
import { connectBareSandbox } from './floors/bare-sandbox.js';
import { connectGrpcStream } from './floors/grpc-stream.js';
import { connectGrpcUnary } from './floors/grpc-unary.js';
import { connectPath } from './floors/path/path-client.js';
import { connectPlainDisk } from './floors/plain-disk.js';
import { connectTcpContainer } from './floors/tcp-container.js';
import { connectTcpEcho } from './floors/tcp-echo.js';
import { checkTarget } from './load/check.js';
import { runClosedLoop } from './load/closed-loop.js';
import { FirstCalls } from './load/first-calls.js';
import { IdleSessions } from './load/idle-sessions.js';
import { readItems } from './load/items.js';
import type { Destination, JobRequest } from './load/jobs.js';
import { runResolves } from './load/resolves.js';
import { runSandboxSteps } from './load/sandbox-steps.js';
import type { Target } from './load/target.js';
import { runVolumeStep } from './load/volume-steps.js';
import { followParent, tellParent } from './processes/parent.js';

/** A load generator: does the jobs that its parent sends, one after the other. */
let target: Target | null = null;
const firstCalls = new FirstCalls();
const idleSessions = new IdleSessions();
let endDisturbance: () => Promise<void> = async () => undefined;

async function doJob(job: JobRequest): Promise<unknown> {
  switch (job.kind) {
    case 'open':
      target = await open(job.plan);
      return null;
    case 'check':
      return checkTarget(able(target), job.plan);
    case 'load':
      return runClosedLoop(able(target), job.plan);
    case 'items':
      return readItems(able(target?.items), job.plan);
    case 'firstCalls':
      return firstCalls.run(able(target?.firstCall), job.plan);
    case 'endFirstCalls':
      await firstCalls.end();
      return null;
    case 'resolves':
      return runResolves(able(target?.resolve), job.plan);
    case 'disturb': {
      await endDisturbance();
      const { what } = job.plan;
      endDisturbance = what === null ? async () => undefined : await able(target?.disturb)(what);
      return null;
    }
    case 'sessions':
      return idleSessions.make(able(target?.sandbox), job.plan);
    case 'sampleSessions':
      return idleSessions.sample(job.plan.every);
    case 'endSessions':
      await idleSessions.end(job.plan.callers);
      return null;
    case 'sandbox':
      return runSandboxSteps(able(target?.sandbox), job.plan);
    case 'volume':
      return runVolumeStep(able(target?.volumes), job.plan);
    case 'fetched':
      return able(target?.volumes).fetchedBytes();
    case 'closeVolumes':
      await target?.close();
      return null;
    default:
      return job satisfies never;
  }
}

async function open(destination: Destination): Promise<Target> {
  switch (destination.kind) {
    case 'tcp-echo':
      return connectTcpEcho(destination.ports);
    case 'tcp-container':
      return connectTcpContainer(destination.ports);
    case 'grpc-unary':
      return connectGrpcUnary(destination.ports);
    case 'grpc-stream':
      return connectGrpcStream(destination.ports);
    case 'path':
      return connectPath(destination.ports);
    case 'bare-sandbox':
      return connectBareSandbox();
    case 'plain-disk':
      return connectPlainDisk(destination.folder);
    case 'mounts': {
      const { connectMounts } = await import('./product/volume-mounts.js');
      return connectMounts(destination.folder);
    }
    case 'holdfast': {
      // The floors' processes do without the SDK.
      const { connectProduct } = await import('./product/target.js');
      return connectProduct(destination);
    }
    case 'peer': {
      const { connectPeer } = await import('./peers/connect-peer.js');
      return connectPeer(destination);
    }
    default:
      return destination satisfies never;
  }
}

function able<T>(what: T | null | undefined): T {
  if (what === null || what === undefined) {
    throw new Error('this load generator is connected to nothing that can do that');
  }
  return what;
}

followParent();
process.on('message', (job: JobRequest) => {
  void doJob(job).then(
    (result) => tellParent({ result }),
    (error: unknown) => tellParent({ error: inspect(error) }),
  );
});
