import type { Logger } from '../../common/context.js';
import { HoldfastError } from '../../common/errors.js';
import type { Bus } from '../../common/ports/bus.js';
import type {
  DrainWorkerReply,
  DrainWorkerRequest,
  ListWorkersReply,
  WorkerView,
} from '../../wire/gen/holdfast/v1/router.js';
import type { Leases } from '../placement/leases.js';
import { askWorker } from '../placement/worker-control.js';
import type { KnownWorker, Workers } from '../placement/workers.js';
import type { Request } from '../service/request.js';

export interface WorkerParts {
  readonly bus: Bus;
  readonly log: Logger;
  readonly workers: Workers;
  readonly leases: Leases;
}

/** The workers of the account; `lost`: silent, and its lease is gone. One that was empty by then has left, and is none any more. */
export async function listWorkers(parts: WorkerParts, request: Request): Promise<ListWorkersReply> {
  const known = parts.workers.list(request.account);
  const views = await Promise.all(known.map((worker) => viewOf(parts, worker)));
  return { workers: views.filter((view) => view !== null) };
}

async function viewOf({ workers, leases }: WorkerParts, worker: KnownWorker): Promise<WorkerView | null> {
  const { heartbeat, bootId } = worker;
  const silentMs = workers.silentMs(bootId);
  const isLost = !workers.isFresh(bootId) && (await leases.look(bootId)).phase !== 'held';
  if (isLost && heartbeat.state === 'draining' && heartbeat.instances === 0) return null;
  return {
    id: worker.workerId,
    state: isLost ? 'lost' : heartbeat.state,
    instances: isLost ? 0 : heartbeat.instances,
    containers: isLost ? 0 : heartbeat.containers,
    offerJson: heartbeat.offerJson || '{}',
    leaseAgeMs: heartbeat.leaseAgeMs + silentMs,
    address: heartbeat.address,
    bootId,
  };
}

/** Empties a worker: every instance is drained to `idle` and starts elsewhere at its next call (C10). @throws NotFound */
export async function drainWorker(
  parts: WorkerParts,
  ask: DrainWorkerRequest,
  request: Request,
): Promise<DrainWorkerReply> {
  const known = parts.workers.list(request.account);
  const worker = known.find(({ workerId }) => workerId === ask.workerId);
  if (worker === undefined) {
    const ids = known.map(({ workerId }) => workerId).slice(0, 20);
    throw new HoldfastError('NotFound', `worker ${ask.workerId} is not known (workers: ${ids.join(', ') || 'none'})`, {
      details: { workerId: ask.workerId, workers: ids },
    });
  }
  request.waiting.what = `worker ${ask.workerId} to drain`;
  const { account, workerId, bootId } = worker;
  const timeoutMs = ask.timeoutMs > 0 ? ask.timeoutMs : defaultDrainMs;
  const op = { $case: 'drain' as const, value: { timeoutMs } };
  parts.log.info('worker.drain', { worker: workerId, boot: bootId, timeoutMs });
  const to = { account, workerId, bootId };
  return askWorker(parts.bus, to, { op, timeoutMs: timeoutMs + answerAfterMs, signal: request.signal });
}

const defaultDrainMs = 60_000;
/** What the last exit hooks may take beyond the limit. */
const answerAfterMs = 5_000;
