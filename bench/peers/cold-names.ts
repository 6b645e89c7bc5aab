import { setTimeout as delay } from 'node:timers/promises';
import { type MemoryByRole, proportionalMemory } from '../processes/memory-by-role.js';
import { type CallRow, callRows, type MemoryRow, memoryRow } from '../report/row.js';
import { smallBytes } from '../scenarios/loads.js';
import type { Bench } from '../scenarios/scenario.js';
import { byContender, type Contest, type Entrant } from './contest.js';

const scenario = 'cold-names';
const callers = 8;
/** In which what a burst of new names left to do gets done. */
const settleMs = 1_000;
const quickShare = 0.02;

/** Names that nobody has used, each with its first call, and what they leave behind in memory. */
export async function measureColdNames(
  contest: Contest,
  { settings, say, signal }: Bench,
): Promise<{ readonly calls: CallRow[]; readonly memory: MemoryRow[] }> {
  const namesOf = ({ coldNames }: Entrant): number => Math.ceil((coldNames ?? 0) * (settings.isQuick ? quickShare : 1));
  const plan = { className: 'Packed', callers, pauseMs: 0, endsLater: false };
  const measure = (prefix: string) => (entrant: Entrant, repetition: number) =>
    entrant.contender.measure('firstCalls', { ...plan, names: namesOf(entrant), prefix: `${prefix}-${repetition}` });

  say('new names: warming up');
  const entrants = contest.entrants.filter(({ coldNames }) => coldNames !== null);
  const warm = [...(await contest.inTurn(entrants, 1, measure('warm-up'))).keys()];
  await delay(settleMs, undefined, { signal });
  const before = new Map(warm.map((entrant) => [entrant, memoryOf(entrant)]));
  say('new names');
  const found = await contest.inTurn(warm, settings.repetitions, measure('run'));
  await delay(settleMs, undefined, { signal });

  const memory = [...found.keys()].flatMap((entrant): MemoryRow[] => {
    const { name: target, title } = entrant.contender;
    const seen = [before.get(entrant) ?? {}, memoryOf(entrant)];
    const count = namesOf(entrant) * settings.repetitions;
    return entrant.isResident ? [memoryRow({ scenario, target, title }, { count, seen })] : [];
  });
  const load = { scenario, callers, payloadBytes: smallBytes, thinkMs: 0 };
  return { calls: callRows(load, byContender(found)), memory };
}

/** Of all its processes but the load generator; garbage of the run is among it. */
function memoryOf({ contender }: Entrant): MemoryByRole {
  return proportionalMemory([...contender.processes].filter(([, role]) => role !== 'client'));
}
