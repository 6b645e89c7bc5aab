import type { CloseReply, ExplainView, InstanceView, PoolView } from '../../wire/gen/holdfast/v1/router.js';
import type { CloseResult, Explanation, InstanceInfo, PoolInfo } from '../infos.js';

export function instanceInfo(view: InstanceView): InstanceInfo {
  const { app, name, id, generation, epoch, running, pending, deployment, restarts } = view;
  return {
    app,
    name,
    id,
    generation,
    epoch,
    state: view.state as InstanceInfo['state'],
    workerId: view.workerId ?? null,
    running,
    pending,
    deployment,
    createdAt: new Date(view.createdAtMs),
    lastCallAt: view.lastCallAtMs === undefined ? null : new Date(view.lastCallAtMs),
    restarts,
  };
}

/** Nothing is asked, and no time runs, before the first is read. */
export async function* instanceInfos(
  views: () => AsyncIterable<InstanceView>,
): AsyncGenerator<InstanceInfo, void, undefined> {
  for await (const view of views()) yield instanceInfo(view);
}

export function explanation(info: InstanceInfo, view: ExplainView): Explanation {
  const { chosen, score, rejected, kept, leaseAgeMs, phasesMs, pool } = view;
  return {
    info,
    placement: { chosen, score, rejected: rejected.map(({ workerId, why }) => ({ workerId, why })), kept: [...kept] },
    leaseAgeMs,
    phasesMs: { ...phasesMs },
    transitions: view.transitions.map(({ atMs, from, to, why }) => ({ at: new Date(atMs), from, to, why })),
    ...(pool === undefined ? {} : { pool: poolInfo(pool) }),
  };
}

function poolInfo({ containers, whyWaiting, ...same }: PoolView): PoolInfo {
  return {
    ...same,
    containers: containers.map(({ workerId, state, running, phasesMs }) => ({
      workerId: workerId === '' ? null : workerId,
      state: state as PoolInfo['containers'][number]['state'],
      running,
      phasesMs: { ...phasesMs },
    })),
    whyWaiting: whyWaiting === '' ? null : whyWaiting,
    waitedMs: { ...same.waitedMs },
  };
}

export function closeResult(reply: CloseReply): CloseResult {
  const { closed, alreadyClosed, exitHook, error } = reply;
  return {
    closed,
    alreadyClosed,
    exitHook: exitHook as CloseResult['exitHook'],
    ...(error === undefined ? {} : { error }),
  };
}
