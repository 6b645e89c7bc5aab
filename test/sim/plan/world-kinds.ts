import { poolId } from '../app/ledger-app.js';
import type { ScenarioName } from './make-scenario.js';
import type { Fault, Plan } from './plan.js';

/** Kinds of worlds that have something that others lack. */
const kinds = {
  pool: ({ clients }: Plan) =>
    clients.some(({ lanes }) => lanes.some((lane) => lane.some(({ instance }) => instance.id === poolId))),
  failover: (plan: Plan) => has(plan, 'store-failover'),
  redeploy: (plan: Plan) => has(plan, 'redeploy'),
} as const;

export type WorldKind = keyof typeof kinds | ScenarioName;

/** Whether the plan is of that kind, or of that scenario; none: every plan is. */
export function isOfKind(plan: Plan, kind: string | undefined): boolean {
  if (kind === undefined || plan.scenario === kind) return true;
  return Object.hasOwn(kinds, kind) && kinds[kind as keyof typeof kinds](plan);
}

function has({ faults }: Plan, kind: Fault['kind']): boolean {
  return faults.some((fault) => fault.kind === kind);
}
