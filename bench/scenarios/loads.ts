import type { Lineup } from '../lineup/lineup.js';
import { type CallRow, callRows, type Row } from '../report/row.js';
import type { Bench } from './scenario.js';

export interface Load {
  readonly callers: number;
  readonly payloadBytes: number;
  readonly thinkMs: number;
}

export const smallBytes = 100;

/**
 * What repetitions are stretched by where what they cost is held against each other: the first second after a turn of others says
 * how processes became warm again.
 */
export const steadyStretch = 4;

/** Every contender, with its answers checked. @param share of the usual number of calls */
export async function warmUp(
  lineup: Lineup,
  { settings, say }: Bench,
  options: { share?: number; bytes?: number } = {},
) {
  const { share = 1, bytes = smallBytes } = options;
  for (const contender of lineup.contenders) {
    say(`warming up ${contender.title}`);
    await contender.warmUp({ calls: Math.ceil(settings.warmupCalls * share), payloadBytes: bytes });
  }
}

export interface LoadsToMeasure {
  readonly scenario: string;
  readonly loads: readonly Load[];
  /** How many times as long as is usual a repetition lasts, unless it is to be quick. */
  readonly stretch?: number;
}

/** Each load with all contenders in turn. */
export async function measureLoads(
  lineup: Lineup,
  { settings, say }: Bench,
  { scenario, loads, stretch = 1 }: LoadsToMeasure,
): Promise<CallRow[]> {
  const seconds = settings.seconds * (settings.isQuick ? 1 : stretch);
  const rows: CallRow[] = [];
  for (const load of loads) {
    say(`${load.callers} callers`);
    const plan = { ...load, seconds };
    const found = await lineup.inTurn(settings.repetitions, (contender) => contender.load(plan));
    rows.push(...callRows({ scenario, ...load }, found));
  }
  return rows;
}

export function loadsOf(callers: readonly number[], thinkMs = 0): Load[] {
  return callers.map((each) => ({ callers: each, payloadBytes: smallBytes, thinkMs }));
}

export function callsOf(rows: readonly Row[]): CallRow[] {
  return rows.filter((row) => row.kind === 'calls');
}
