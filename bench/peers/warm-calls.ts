import { type Row, summarise } from '../report/row.js';
import type { Bench } from '../scenarios/scenario.js';
import type { Contest } from './contest.js';

const payloadBytes = 100;

/** Each target's own warm-up, its answers looked at; then the same closed loop for all, in turn. */
export async function measureWarmCalls(contest: Contest, { settings, say }: Bench): Promise<Row[]> {
  for (const entrant of contest.entrants) {
    say(`warming up ${entrant.contender.title}`);
    const calls = Math.min(settings.warmupCalls, entrant.warmupCalls);
    await contest.attempt(entrant, () => entrant.contender.warmUp({ calls, payloadBytes }));
  }
  const rows: Row[] = [];
  for (const callers of settings.isQuick ? [1, 16] : [1, 16, 64, 256]) {
    say(`${callers} callers`);
    const load = { callers, seconds: settings.seconds, thinkMs: 0, payloadBytes };
    const found = await contest.inTurn(contest.entrants, settings.repetitions, ({ contender }) => contender.load(load));
    for (const [{ contender }, measurements] of found) {
      const head = { scenario: 'peers-warm', target: contender.name, title: contender.title };
      rows.push(summarise({ ...head, callers, payloadBytes, thinkMs: 0 }, measurements));
    }
  }
  return rows;
}
