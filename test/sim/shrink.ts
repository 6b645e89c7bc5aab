import type { ClientPlan, Fault, Plan, Step } from './plan/plan.js';
import type { Outcome } from './world.js';

/** How often a plan is run in the search for a shorter one. */
const mostRuns = 400;

/**
 * A plan that breaks the same rule with less in it: faults, clients, lanes, steps, machines, and trouble that is always there.
 * What is left out is tried in halves first, then one by one, until nothing more can go.
 */
export async function shrink(
  plan: Plan,
  failed: Outcome,
  run: (plan: Plan) => Promise<Outcome>,
): Promise<{ readonly plan: Plan; readonly runs: number }> {
  const rule = failed.violations[0]?.rule;
  let runs = 0;
  const stillFails = async (candidate: Plan): Promise<boolean> => {
    runs += 1;
    const { violations } = await run(candidate);
    return violations.some((violation) => violation.rule === rule);
  };
  let best = plan;
  for (let isShorter = true; isShorter && runs < mostRuns; ) {
    isShorter = false;
    for (const candidate of candidates(best)) {
      if (runs >= mostRuns) break;
      if (!(await stillFails(candidate))) continue;
      best = candidate;
      isShorter = true;
      break;
    }
  }
  return { plan: best, runs };
}

function* candidates(plan: Plan): Iterable<Plan> {
  for (const faults of shorter(plan.faults)) yield { ...plan, faults };
  for (const clients of shorter(plan.clients)) if (clients.length > 0) yield { ...plan, clients };
  for (const [index, { lanes }] of plan.clients.entries()) {
    for (const fewer of shorter(lanes)) yield withClient(plan, index, { lanes: fewer });
    for (const [lane, steps] of lanes.entries()) {
      for (const fewer of shorter(steps)) yield withClient(plan, index, { lanes: replaced(lanes, lane, fewer) });
    }
  }
  if (plan.routers > 1)
    yield { ...plan, routers: plan.routers - 1, faults: without(plan.faults, `r${plan.routers - 1}`) };
  if (plan.workers.length > 1) {
    const last = plan.workers.length - 1;
    yield { ...plan, workers: plan.workers.slice(0, last), faults: without(plan.faults, `w${last}`) };
  }
  if (plan.busReorders) yield { ...plan, busReorders: false };
  if (plan.clockDrift > 0) yield { ...plan, clockDrift: 0 };
  if (plan.store.lostReply > 0 || plan.store.lostRequest > 0)
    yield { ...plan, store: { lostReply: 0, lostRequest: 0 } };
  const { throws, hangs, failedStarts, crashes } = plan.code;
  if (throws + hangs + failedStarts + crashes > 0)
    yield { ...plan, code: { throws: 0, hangs: 0, failedStarts: 0, crashes: 0 } };
}

/** Without its second half, its first half, then without each one. */
function* shorter<T>(items: readonly T[]): Iterable<T[]> {
  if (items.length === 0) return;
  const middle = items.length >> 1;
  if (items.length > 2) {
    yield items.slice(0, middle);
    yield items.slice(middle);
  }
  for (let i = items.length - 1; i >= 0; i -= 1) yield [...items.slice(0, i), ...items.slice(i + 1)];
}

function withClient(plan: Plan, index: number, client: ClientPlan): Plan {
  return { ...plan, clients: replaced(plan.clients, index, client) };
}

function replaced<T>(items: readonly T[], index: number, item: T): T[] {
  return items.map((each, i) => (i === index ? item : each));
}

/** Faults of a machine that is not there any more. */
function without(faults: readonly Fault[], name: string): Fault[] {
  return faults.filter((fault) => {
    const named = 'target' in fault ? [fault.target] : 'from' in fault ? [fault.from, fault.to] : [];
    return !named.includes(name);
  });
}

/** How much there is in a plan, for people. */
export function sizeOf(plan: Plan): string {
  const steps: Step[] = plan.clients.flatMap(({ lanes }) => lanes.flat());
  const { faults, clients, routers, workers } = plan;
  return `${faults.length} faults, ${clients.length} clients, ${steps.length} steps, ${routers} routers, ${workers.length} workers`;
}
