import './engine/globals.js';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { makePlan } from './plan/make-plan.js';
import type { Fault, Plan } from './plan/plan.js';
import { shrink, sizeOf } from './shrink.js';
import { type Outcome, runWorld } from './world.js';

const seeds = [3, 8, 21];

test('the same seed gives the same trace, in one process after other seeds and in another process', async () => {
  const first: string[] = [];
  for (const seed of seeds) first.push((await runWorld(makePlan(String(seed)))).hash);
  const again = await runWorld(makePlan(String(seeds[1])), { isTraced: true });
  expect(again.hash).toBe(first[1]);
  expect(new Set(first).size).toBe(seeds.length);

  const entry = fileURLToPath(new URL('./seeds-main.ts', import.meta.url));
  const child = fork(entry, [String(seeds[1]), '1', '1'], { execArgv: ['--import', 'tsx'] });
  const [verdict] = (await once(child, 'message')) as [Outcome];
  await once(child, 'exit');
  expect(verdict.hash).toBe(first[1]);
});

test('a world without faults serves nearly every call', async () => {
  const plan = makePlan('4');
  const calm: Plan = {
    ...plan,
    faults: [],
    store: { lostReply: 0, lostRequest: 0 },
    code: { throws: 0, hangs: 0, failedStarts: 0, crashes: 0 },
    clients: plan.clients.map(({ lanes }) => ({
      lanes: lanes.map((lane) =>
        lane.flatMap((step) =>
          step.kind !== 'call'
            ? []
            : [
                {
                  ...step,
                  times: 1,
                  stall: null,
                  call: { ...step.call, timeoutMs: 30_000, cancelAfterMs: null, workMs: 5 },
                },
              ],
        ),
      ),
    })),
  };
  const { violations, calls, succeeded } = await runWorld(calm);
  expect(violations).toEqual([]);
  expect(succeeded / calls).toBeGreaterThan(0.85);
});

test('a failing plan is shortened to what it needs to fail', async () => {
  const plan = makePlan('33');
  const kill: Fault = { kind: 'kill', target: 'w0', what: 'process', atMs: 5_000, forMs: 100 };
  const failing: Plan = { ...plan, faults: [...plan.faults, kill, ...plan.faults] };
  const needsKill = async (candidate: Plan): Promise<Outcome> => {
    const isRed = candidate.faults.includes(kill) && candidate.clients.length > 0;
    const violations = isRed ? [{ rule: 'order' as const, text: '', at: 0 }] : [];
    return {
      seed: '33',
      violations,
      hash: '',
      events: 0,
      calls: 0,
      succeeded: 0,
      ahead: { sent: 0, recalled: 0 },
      lent: 0,
      virtualMs: 0,
      lines: null,
    };
  };
  const shorter = await shrink(failing, await needsKill(failing), needsKill);
  expect(sizeOf(shorter.plan)).toBe('1 faults, 1 clients, 0 steps, 1 routers, 1 workers');
});

test('worlds of many kinds of trouble keep every rule', async () => {
  for (let seed = 100; seed < 140; seed += 1) {
    const { violations } = await runWorld(makePlan(String(seed)));
    expect({ seed, violations }).toEqual({ seed, violations: [] });
  }
});
