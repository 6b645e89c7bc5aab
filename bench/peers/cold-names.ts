import { setTimeout as delay } from 'node:timers/promises';
import { type Row, summarise } from '../report/row.js';
import type { Bench } from '../scenarios/scenario.js';
import type { Contest, Entrant } from './contest.js';
import { memoryBytesOf } from './memory.js';

const callers = 8;
/** In which what a burst of new names left to do gets done. */
const settleMs = 1_000;
const quickShare = 0.02;

/** What names that were called once and are idle now hold, in all processes of a target but its client. */
export interface MemoryRow {
  readonly target: string;
  readonly title: string;
  readonly names: number;
  readonly bytesPerName: number;
}

/** Names that nobody has used, each with its first call, and what they leave behind in memory. */
export async function measureColdNames(
  contest: Contest,
  { settings, say, signal }: Bench,
): Promise<{ readonly rows: Row[]; readonly memory: MemoryRow[] }> {
  const namesOf = ({ coldNames }: Entrant): number => Math.ceil((coldNames ?? 0) * (settings.isQuick ? quickShare : 1));
  const entrants = contest.entrants.filter(({ coldNames }) => coldNames !== null);
  const measure = (prefix: string) => (entrant: Entrant, repetition: number) =>
    entrant.contender.measure('coldNames', {
      ...{ className: 'Packed', callers, names: namesOf(entrant), prefix: `${prefix}-${repetition}` },
    });

  say('new names: warming up');
  const warm = [...(await contest.inTurn(entrants, 1, measure('warm-up'))).keys()];
  await delay(settleMs, undefined, { signal });
  const before = new Map(warm.map((entrant) => [entrant, memoryBytesOf(entrant.contender)]));
  say('new names');
  const found = await contest.inTurn(warm, settings.repetitions, measure('run'));
  await delay(settleMs, undefined, { signal });

  const rows: Row[] = [];
  const memory: MemoryRow[] = [];
  for (const [entrant, measurements] of found) {
    const { name: target, title } = entrant.contender;
    const head = { scenario: 'peers-cold', target, title, callers, payloadBytes: 100, thinkMs: 0 };
    rows.push(summarise(head, measurements));
    if (!entrant.isResident) continue;
    const names = namesOf(entrant) * settings.repetitions;
    const bytes = memoryBytesOf(entrant.contender) - (before.get(entrant) ?? 0);
    memory.push({ target, title, names, bytesPerName: Math.round(bytes / names) });
  }
  return { rows, memory };
}
