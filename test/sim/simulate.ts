import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { TraceLine } from './engine/timeline.js';
import { makePlan } from './plan/make-plan.js';
import type { Plan } from './plan/plan.js';
import { shrink, sizeOf } from './shrink.js';
import { leastSuccess, shareOfSuccess } from './success.js';
import { type Outcome, runWorld } from './world.js';

export interface SimulateOptions {
  readonly first: number;
  readonly count: number;
  readonly jobs: number;
  readonly untilRed: boolean;
  readonly isQuiet: boolean;
}

export type Verdict = Omit<Outcome, 'lines'>;

const shownLines = 400;
const entry = fileURLToPath(new URL('./seeds-main.ts', import.meta.url));

/** Runs the seeds and says what came of them. Returns the exit code. */
export async function simulate(options: SimulateOptions): Promise<number> {
  const { count, isQuiet } = options;
  const startedAt = process.hrtime.bigint();
  const verdicts = await runAll(options);
  const red = verdicts
    .filter(({ violations }) => violations.length > 0)
    .sort((a, b) => Number(a.seed) - Number(b.seed));
  const seconds = Number((process.hrtime.bigint() - startedAt) / 1_000_000n) / 1_000;
  for (const { seed, violations } of red) {
    const [first] = violations;
    console.log(
      `seed ${seed}: ${first?.rule}: ${first?.text}${violations.length > 1 ? ` (and ${violations.length - 1} more)` : ''}`,
    );
  }
  const [worst] = red;
  if (worst !== undefined && !isQuiet) await explain(makePlan(worst.seed));
  else if (count === 1 && !isQuiet) await explain(makePlan(String(options.first)));
  const share = summary(verdicts, seconds);
  console.log(`${verdicts.length - red.length} of ${verdicts.length} seeds hold, ${red.length} do not`);
  if (share < leastSuccess)
    console.log(`success: only ${percent(share)} of the calls succeeded, expected ${percent(leastSuccess)}`);
  return red.length > 0 || share < leastSuccess ? 1 : 0;
}

function runAll({ first, count, jobs, untilRed }: SimulateOptions): Promise<Verdict[]> {
  const verdicts: Verdict[] = [];
  const used = Math.min(jobs, count);
  const done = new Map<number, number>();
  let firstRed = Number.POSITIVE_INFINITY;
  return new Promise((resolve, reject) => {
    let running = used;
    const children = Array.from({ length: used }, (_, i) => {
      const child = fork(entry, [first + i, count - i, used].map(String), { execArgv: process.execArgv });
      child.on('message', (verdict: Verdict) => {
        verdicts.push(verdict);
        if (verdict.violations.length > 0) firstRed = Math.min(firstRed, Number(verdict.seed));
        // Which one is the first must not depend on who is faster.
        done.set(i, Number(verdict.seed));
        const isPassed = [...children.keys()].every((each) => (done.get(each) ?? 0) + used > firstRed);
        if (untilRed && isPassed) for (const each of children) each.kill();
      });
      child.on('exit', (code, signal) => {
        running -= 1;
        if (code !== 0 && signal === null) reject(new Error(`a process of the simulation ended with code ${code}`));
        else if (running === 0) resolve(verdicts);
      });
      return child;
    });
  });
}

/** A failing plan is shortened first. */
async function explain(plan: Plan): Promise<void> {
  const failed = await runWorld(plan, { isTraced: true });
  const isRed = failed.violations.length > 0;
  const shorter = isRed ? await shrink(plan, failed, (candidate) => runWorld(candidate)) : { plan, runs: 0 };
  const shown = isRed ? await runWorld(shorter.plan, { isTraced: true }) : failed;
  if (isRed) console.log(`\nseed ${plan.seed}: ${sizeOf(plan)}; after ${shorter.runs} runs: ${sizeOf(shorter.plan)}`);
  console.log(`\n${JSON.stringify(shorter.plan)}\n`);
  for (const line of upToViolation(shown.lines ?? [])) console.log(textOf(line));
  for (const { rule, text, at } of shown.violations) console.log(`${rule} at ${at.toFixed(1)}: ${text}`);
}

/** What led to the first violation; all of it where there is none. */
function upToViolation(lines: readonly TraceLine[]): readonly TraceLine[] {
  const end = lines.findIndex(({ what }) => what.startsWith('VIOLATION'));
  return end < 0 ? lines : lines.slice(Math.max(0, end - shownLines), end + 1);
}

function textOf({ at, who, what }: TraceLine): string {
  return `${at.toFixed(2).padStart(10)} ${who.padEnd(16)} ${what}`;
}

/** Prints totals; returns the share of calls that succeeded. */
function summary(verdicts: readonly Verdict[], seconds: number): number {
  const total = (read: (verdict: Verdict) => number) => verdicts.reduce((sum, verdict) => sum + read(verdict), 0);
  const calls = total((verdict) => verdict.calls);
  const share = shareOfSuccess(verdicts);
  const hours = total((verdict) => verdict.virtualMs) / 3_600_000;
  console.log(
    `${verdicts.length} worlds in ${seconds.toFixed(1)} s: ${hours.toFixed(1)} hours of cluster time, ` +
      `${total((verdict) => verdict.events)} events, ${calls} calls, ${percent(share)} of them succeeded, ` +
      `${total((verdict) => verdict.ahead.sent)} sent ahead, ${total((verdict) => verdict.ahead.recalled)} of those given back, ` +
      `${total((verdict) => verdict.lent)} containers lent`,
  );
  return share;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}
