import { setTimeout as delay } from 'node:timers/promises';
import { type MemoryByRole, proportionalMemory } from '../processes/memory-by-role.js';
import { type CallRow, callRows, type MemoryRow, memoryRow } from '../report/row.js';
import { coldNames, earlyNames } from '../scenarios/cold-names.js';
import { smallBytes } from '../scenarios/loads.js';
import { namingCallers, packedClass, warmUpNames } from '../scenarios/new-names.js';
import type { Bench } from '../scenarios/scenario.js';
import { byContender, type Contest, type Entrant } from './contest.js';

/** In which what a burst of new names left to do gets done. */
const settleMs = 1_000;
/** Of a repetition where all is warm to one before that. */
const warmShare = 2.5;
const quickShare = 0.02;

interface Found {
  readonly calls: CallRow[];
  readonly memory: MemoryRow[];
}

/** Names that nobody has used, each with its first call, soon after a start and after many others; and what they leave behind in memory. */
export async function measureColdNames(contest: Contest, bench: Bench): Promise<Found> {
  const { settings, say, signal, cores } = bench;
  const namesOf = ({ coldNames: names }: Entrant, share = 1): number =>
    Math.ceil((names ?? 0) * share * (settings.isQuick ? quickShare : 1));
  const plan = { className: packedClass, callers: namingCallers, pauseMs: 0, endsLater: false };
  const measure = (prefix: string, share?: number) => (entrant: Entrant, repetition: number) =>
    entrant.contender.measure('firstCalls', {
      ...plan,
      ...{ names: namesOf(entrant, share), prefix: `${prefix}-${repetition}` },
    });

  say('new names: warming up');
  const entrants = contest.entrants.filter((entrant) => entrant.coldNames !== null);
  const named = [...(await contest.inTurn(entrants, 1, measure('start'))).keys()];
  await delay(settleMs, undefined, { signal });
  const before = new Map(named.map((entrant) => [entrant, memoryOf(entrant)]));
  say('new names, soon after a start');
  const early = await cores.pollingDuring(() => contest.inTurn(named, settings.repetitions, measure('early')));
  await delay(settleMs, undefined, { signal });
  const memory = [...early.keys()].flatMap((entrant): MemoryRow[] => {
    const { name: target, title } = entrant.contender;
    const seen = [before.get(entrant) ?? {}, memoryOf(entrant)];
    const count = namesOf(entrant) * settings.repetitions;
    return entrant.isResident ? [memoryRow({ scenario: earlyNames.name, target, title }, { count, seen })] : [];
  });

  const warm = new Set<Entrant>();
  for (const entrant of early.keys()) {
    say(`new names: warming up ${entrant.contender.title}`);
    const names = Math.min(settings.warmupNames, entrant.warmupNames);
    if (await contest.attempt(entrant, () => warmUpNames(entrant.contender, names))) warm.add(entrant);
  }
  say('new names');
  const late = await cores.pollingDuring(() =>
    contest.inTurn([...warm], settings.repetitions, measure('warm', warmShare)),
  );
  const load = { callers: namingCallers, payloadBytes: smallBytes, thinkMs: 0 };
  return {
    calls: [
      ...callRows({ scenario: coldNames.name, ...load }, byContender(late)),
      ...callRows({ scenario: earlyNames.name, ...load }, byContender(early)),
    ],
    memory,
  };
}

/** Of all its processes but the load generator; garbage of the run is among it. */
function memoryOf({ contender }: Entrant): MemoryByRole {
  return proportionalMemory([...contender.processes].filter(([, role]) => role !== 'client'));
}
