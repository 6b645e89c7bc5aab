import type { LedgerLine } from './fixtures/ledger-app.js';
import type { Call } from './load.js';

/** When what was done to the world may fail calls, ms of `performance.now`. */
export interface Window {
  readonly from: number;
  readonly to: number;
}

export interface Verdict {
  readonly violations: readonly string[];
  readonly calls: number;
  readonly unknown: number;
  /** Part of the calls outside of the windows that succeeded, in %. */
  readonly successPercent: number;
}

const leastSuccessPercent = 95;

/** Judges what clients were told by what instances wrote down. @param mayOverlap nobody could end the code in time (S11) */
export function check(
  lines: readonly LedgerLine[],
  calls: readonly Call[],
  world: { readonly windows: readonly Window[]; readonly mayOverlap: boolean },
): Verdict {
  const violations = [
    ...brokenLives(lines, world.mayOverlap),
    ...brokenPromises(lines, calls),
    ...overtaken(lines, calls),
  ];
  const calm = calls.filter(
    ({ startedAt, settledAt }) => !world.windows.some(({ from, to }) => startedAt < to && settledAt > from),
  );
  const good = calm.filter(({ result }) => result === 'ok').length;
  const successPercent = calm.length === 0 ? 0 : (100 * good) / calm.length;
  if (successPercent < leastSuccessPercent)
    violations.push(`only ${successPercent.toFixed(1)} % of ${calm.length} calls outside the faults succeeded`);
  return {
    violations,
    calls: calls.length,
    unknown: calls.filter(({ outcome }) => outcome === 'unknown').length,
    successPercent,
  };
}

/** S9: commits by rising epochs. S8: code too. C3: `enter` first, `exit` at most once and last. */
function brokenLives(lines: readonly LedgerLine[], mayOverlap: boolean): string[] {
  const broken: string[] = [];
  const lives = new Map<string, { epoch: number; committed: number; hasEntered: Set<number>; left: Set<number> }>();
  for (const { event, instance, epoch, call } of lines) {
    const life = lives.get(instance) ?? { epoch: 0, committed: 0, hasEntered: new Set(), left: new Set() };
    lives.set(instance, life);
    const where = `${instance} at ${epoch}: ${event} ${call ?? ''}`;
    if (event === 'commit' && epoch < life.committed) broken.push(`${where} after a commit at ${life.committed}`);
    if (event === 'commit') life.committed = Math.max(life.committed, epoch);
    if (epoch < life.epoch && !mayOverlap) broken.push(`${where} after the beginning of ${life.epoch}`);
    life.epoch = Math.max(life.epoch, epoch);
    if (event === 'enter' && life.hasEntered.has(epoch)) broken.push(`${where} a second time`);
    if (event === 'enter') life.hasEntered.add(epoch);
    else if (!life.hasEntered.has(epoch)) broken.push(`${where} before enter`);
    if (life.left.has(epoch)) broken.push(`${where} after exit`);
    if (event === 'exit') life.left.add(epoch);
  }
  return broken;
}

/** What was acknowledged is committed; at most once; `not-run` never. */
function brokenPromises(lines: readonly LedgerLine[], calls: readonly Call[]): string[] {
  const count = (event: LedgerLine['event']): Map<string, number> => {
    const counts = new Map<string, number>();
    for (const line of lines)
      if (line.event === event && line.call !== undefined) counts.set(line.call, (counts.get(line.call) ?? 0) + 1);
    return counts;
  };
  const [begun, committed] = [count('begin'), count('commit')];
  return calls.flatMap(({ id, method, result, outcome }) => {
    const runs = begun.get(id) ?? 0;
    if (result === 'ok' && !committed.has(id)) return [`${id} was acknowledged and is not committed`];
    if (method === 'append' && runs > 1) return [`${id} ran ${runs} times`];
    if (method === 'append' && outcome === 'not-run' && runs > 0)
      return [`${id} failed as not run (${result}) and ran`];
    return [];
  });
}

/** C2: of calls that run at most once each caller's begin in their order. */
function overtaken(lines: readonly LedgerLine[], calls: readonly Call[]): string[] {
  const known = new Map(calls.map((call) => [call.id, call]));
  const last = new Map<string, Call>();
  const broken: string[] = [];
  for (const { event, call: id } of lines) {
    const call = event === 'begin' && id !== undefined ? known.get(id) : undefined;
    if (call?.method !== 'append') continue;
    const lane = `${call.caller} ${call.instance}`;
    const before = last.get(lane);
    if (before !== undefined && before.number > call.number) broken.push(`${call.id} began after ${before.id}`);
    last.set(lane, call);
  }
  return broken;
}
