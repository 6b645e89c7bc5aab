import type { PoolContainer, PoolView } from '../../wire/gen/holdfast/v1/router.js';
import { mailboxLimits } from '../hosting/loaded-class.js';
import type { Instance } from '../instances/instance.js';
import type { PoolState } from './pool-place.js';

const longestLack = 1_024;
/** In an answer on the bus, with others. */
const mostContainers = 1_000;

/** Undefined: it has one container. */
export function describePool(instance: Instance): PoolView | undefined {
  const { pool, klass } = instance;
  const pooled = instance.calls.pooled;
  if (pool === null || pooled === null) return undefined;
  const state = pool.describe();
  const slots = mailboxLimits(klass, true).concurrentRequests;
  const waitingForContainer = pooled.waiting;
  const waitingForSlot = instance.pending - waitingForContainer;
  return {
    containers: containersOf(state, instance.pin.workerId ?? '').slice(0, mostContainers),
    maxContainers: state.max,
    slots,
    waitingForContainer,
    waitingForSlot,
    whyWaiting: whyWaiting(state, { slots, waitingForContainer, waitingForSlot }),
    begun: pooled.waited.begun,
    waitedMs: { ...pooled.waited.waitedMs },
  };
}

function containersOf({ members, starting, leaving }: PoolState, here: string): PoolContainer[] {
  const other = (state: string) => ({ workerId: '', state, running: 0, phasesMs: {} });
  return [
    ...members.map(({ workerId, isRecalled, running, readers, phasesMs }) => ({
      workerId: workerId ?? here,
      state: isRecalled ? 'leaving' : 'ready',
      running: running + readers,
      phasesMs: { ...phasesMs },
    })),
    ...Array.from({ length: starting }, () => other('starting')),
    ...Array.from({ length: leaving }, () => other('leaving')),
  ];
}

function whyWaiting(
  { members, starting, lost, max, lack }: PoolState,
  { slots, waitingForContainer, waitingForSlot }: Pick<PoolView, 'slots' | 'waitingForContainer' | 'waitingForSlot'>,
): string {
  const reasons: string[] = [];
  if (waitingForSlot > 0) reasons.push(`all ${slots} slots are held`);
  if (waitingForContainer > 0) {
    const there = `${members.length} of ${max} containers are there`;
    reasons.push(starting > 0 ? `${there}, ${starting} being started` : there);
    if (lost > 0) reasons.push(`${lost} were lost with who lent them, and may still run`);
    if (lack !== '') reasons.push(`the last one could not be had: ${lack.slice(0, longestLack)}`);
  }
  return reasons.join('; ');
}
