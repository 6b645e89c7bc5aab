import { type CallRow, callRows } from '../report/row.js';
import { type Load, loadsOf, smallBytes } from '../scenarios/loads.js';
import type { Bench } from '../scenarios/scenario.js';
import { byContender, type Contest } from './contest.js';

/** Each target's own warm-up, its answers looked at; then the same closed loop for all, in turn. */
export async function measureWarmCalls(contest: Contest, bench: Bench): Promise<CallRow[]> {
  const { settings, say, cores } = bench;
  for (const entrant of contest.entrants) {
    say(`warming up ${entrant.contender.title}`);
    const calls = Math.min(settings.warmupCalls, entrant.warmupCalls);
    await contest.attempt(entrant, () => entrant.contender.warmUp({ calls, payloadBytes: smallBytes }));
  }
  const rows: CallRow[] = [];
  for (const load of loadsOf(settings.isQuick ? [1, 16] : [1, 16, 64, 256])) {
    say(`${load.callers} callers`);
    rows.push(...(await measure(contest, bench, { scenario: 'warm', load })));
  }
  say('1 caller, cores idle');
  await cores.asleepDuring(async () => {
    for (const load of loadsOf([1])) rows.push(...(await measure(contest, bench, { scenario: 'idle-cores', load })));
  });
  return rows;
}

async function measure(
  contest: Contest,
  { settings }: Bench,
  { scenario, load }: { readonly scenario: string; readonly load: Load },
): Promise<CallRow[]> {
  const plan = { ...load, seconds: settings.seconds };
  const found = await contest.inTurn(contest.entrants, settings.repetitions, ({ contender }) => contender.load(plan));
  return callRows({ scenario, ...load }, byContender(found));
}
