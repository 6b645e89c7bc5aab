import type { SeededRandom } from '../engine/seeded-random.js';
import { firstFaultMs, type Hosts } from './make-faults.js';
import { type CallPlan, type Fault, type InstanceRef, plainCall, type Step } from './plan.js';

/** After the beginning of faults; not after the other one, unless that is too early. */
export function momentBefore(random: SeededRandom, latestMs: number): number {
  return Math.round(random.between(firstFaultMs, Math.max(firstFaultMs, latestMs)));
}

export function killed(target: string, atMs: number, forMs: number): Fault {
  return { kind: 'kill', target, what: 'process', atMs, forMs: Math.round(forMs) };
}

export function workersOf({ workers }: Hosts): string[] {
  return Array.from({ length: workers }, (_, i) => `w${i}`);
}

export function refsOf(className: string, prefix: string, count: number): InstanceRef[] {
  return Array.from({ length: count }, (_, i) => ({ className, id: `${prefix}${i}` }));
}

export function stepAt(pauseMs: number, instance: InstanceRef) {
  return { pauseMs: Math.round(pauseMs), instance };
}

// biome-ignore lint/complexity/useMaxParams: a line of a plan
export function callAt(
  pauseMs: number,
  instance: InstanceRef,
  call: Partial<CallPlan>,
  times = 1,
): Step & { kind: 'call' } {
  return { ...stepAt(pauseMs, instance), kind: 'call', call: { ...plainCall, ...call }, times, stall: null };
}
