import { check } from './checker.js';
import type { Scenario } from './scenario.js';
import { World } from './world.js';

export interface Outcome {
  readonly scenario: Scenario;
  readonly violations: readonly string[];
  readonly calls: number;
  readonly unknown: number;
  readonly successPercent: number;
  /** Until the median, the 99th of a hundred, and the last lane had an answer again, ms; null: nothing was broken. */
  readonly recovery: { readonly p50: number; readonly p99: number; readonly last: number } | null;
  readonly note: string;
}

/** A world of its own, what is done to it, and the verdict. Never rejects: a world that does not start is one that is broken. */
export async function runScenario(scenario: Scenario): Promise<Outcome> {
  return await runInWorld(scenario).catch((error: unknown) => ({
    ...{ scenario, calls: 0, unknown: 0, successPercent: 0, recovery: null, note: '' },
    violations: [`its world failed: ${error instanceof Error ? error.message : String(error)}`],
  }));
}

async function runInWorld(scenario: Scenario): Promise<Outcome> {
  await using world = await World.start(scenario.setup);
  const broken: string[] = [];
  const note = await scenario.run(world).catch((error: unknown) => {
    broken.push(error instanceof Error ? error.message : String(error));
    return '';
  });
  await world.load.stop();
  const { windows, recoveries } = world;
  const verdict = check(await world.ledger(), world.load.calls, { windows, mayOverlap: scenario.mayOverlap ?? false });
  const sorted = recoveries.toSorted((a, b) => a - b);
  const at = (part: number): number => sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? 0;
  const recovery = sorted.length === 0 ? null : { p50: at(0.5), p99: at(0.99), last: at(1) };
  return { scenario, ...verdict, violations: [...broken, ...verdict.violations], recovery, note };
}
