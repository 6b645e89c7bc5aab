import { isSamePayload, makePayload, type PayloadPlan } from './payload.js';
import type { Target } from './target.js';

export interface CheckPlan {
  readonly callers: number;
  readonly calls: number;
  /** Calls that one caller sends without waiting for the answers, all to one instance. */
  readonly inFlight: number;
  readonly payload: PayloadPlan;
}

/**
 * Warms the path up and proves it meanwhile: each caller's answers come in the order of its calls, each once and with its own
 * call's content; where the other side counts, it ran each call once, and where it has limits, they are exact. Resolves with
 * the number of calls.
 */
export async function checkTarget(target: Target, plan: CheckPlan): Promise<number> {
  const before = await target.executed?.();
  const callsEach = Math.ceil(plan.calls / plan.callers);
  const callers = Array.from({ length: plan.callers }, (_, caller) => checkCaller(target, plan, { caller, callsEach }));
  await Promise.all(callers);
  const sent = callsEach * plan.callers;
  const ran = before === undefined ? sent : ((await target.executed?.()) ?? 0) - before;
  if (ran !== sent) throw new Error(`${sent} calls were answered, but ${ran} ran`);
  await target.checkLimits?.();
  return sent;
}

async function checkCaller(
  target: Target,
  plan: CheckPlan,
  { caller, callsEach }: { readonly caller: number; readonly callsEach: number },
): Promise<void> {
  let answered = 0;
  // Each window goes to the next of the caller's instances: there is no order between instances.
  for (let sent = 0, turn = caller; sent < callsEach; turn += plan.callers) {
    const window: Promise<void>[] = [];
    for (; window.length < plan.inFlight && sent < callsEach; sent += 1) {
      const number = sent;
      const value = makePayload(plan.payload, `${caller}/${number}`);
      const check = target.call(value, turn).then((answer) => {
        const call = `call ${number} of caller ${caller}`;
        if (!isSamePayload(answer, value)) throw new Error(`${call} got another call's answer, or a broken one`);
        if (answered !== number) throw new Error(`${call} was answered after ${answered} answers`);
        answered += 1;
      });
      window.push(check);
    }
    await Promise.all(window);
  }
}
