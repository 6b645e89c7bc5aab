import { type CallRow, callRows } from '../report/row.js';
import { loadsOf, smallBytes } from '../scenarios/loads.js';
import type { Bench } from '../scenarios/scenario.js';
import { byContender, type Contest } from './contest.js';

/** Each target's own warm-up, its answers looked at; then the same closed loop for all, in turn. */
export async function measureWarmCalls(contest: Contest, { settings, say }: Bench): Promise<CallRow[]> {
  for (const entrant of contest.entrants) {
    say(`warming up ${entrant.contender.title}`);
    const calls = Math.min(settings.warmupCalls, entrant.warmupCalls);
    await contest.attempt(entrant, () => entrant.contender.warmUp({ calls, payloadBytes: smallBytes }));
  }
  const rows: CallRow[] = [];
  for (const load of loadsOf(settings.isQuick ? [1, 16] : [1, 16, 64, 256])) {
    say(`${load.callers} callers`);
    const plan = { ...load, seconds: settings.seconds };
    const found = await contest.inTurn(contest.entrants, settings.repetitions, ({ contender }) => contender.load(plan));
    rows.push(...callRows({ scenario: 'warm', ...load }, byContender(found)));
  }
  return rows;
}
