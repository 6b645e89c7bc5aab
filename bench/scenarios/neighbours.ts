import { clusterOf, holdfast } from '../lineup/contenders.js';
import { Lineup } from '../lineup/lineup.js';
import { type Disturbance, disturbances } from '../load/disturbance.js';
import { formatRatio, formatSpread } from '../report/format.js';
import { floorOf } from '../report/ratio.js';
import { type CallRow, callRows, type Measurement, type Row } from '../report/row.js';
import type { Table } from '../report/table.js';
import { callsOf, smallBytes, warmUp } from './loads.js';
import type { Bench, Scenario } from './scenario.js';

/** One that mostly sleeps, and as many as keep the worker busy. */
const callers = [1, 16];

const titles: Readonly<Record<Disturbance, string>> = {
  idle: 'that does nothing',
  processors: 'with 8 loops',
  processes: 'with a fork bomb',
  output: 'that prints without end',
  disk: 'that fills its disk',
};

/** Warm calls of a class, while a sandbox on the same worker does its worst. */
export const neighbours: Scenario = {
  name: 'neighbours',
  title: 'warm calls of a class beside a sandbox that does its worst, on one worker',

  run: (bench) => bench.cores.yieldingDuring(() => measure(bench)),

  tables: (rows) => [neighbourTable(callsOf(rows))],
};

async function measure(bench: Bench): Promise<Row[]> {
  const { settings, signal, say } = bench;
  await using lineup = await Lineup.open([{ ...holdfast, cluster: clusterOf(1, 'neighbours') }], signal);
  const [contender] = lineup.contenders;
  if (contender === undefined) throw new Error('the lineup is empty');
  await warmUp(lineup, bench);
  const found = new Map<string, Measurement[]>();
  for (let repetition = 0; repetition < settings.repetitions; repetition += 1) {
    for (const what of disturbances) {
      say(`${repetition + 1} of ${settings.repetitions}, a sandbox ${titles[what]}`);
      await contender.disturb(what);
      for (const each of callers) {
        const load = { callers: each, payloadBytes: smallBytes, thinkMs: 0, seconds: settings.seconds };
        const key = `${each} ${what}`;
        found.set(key, [...(found.get(key) ?? []), await contender.load(load)]);
      }
      await contender.disturb(null);
    }
  }
  return callers.flatMap((each) => rowsOf(each, found));
}

function rowsOf(each: number, found: ReadonlyMap<string, readonly Measurement[]>): Row[] {
  const measured = disturbances.map((what) => {
    const floor = what === 'idle' ? null : 'idle';
    return [{ name: what, title: titles[what], floor }, found.get(`${each} ${what}`) ?? []] as const;
  });
  return callRows(
    { scenario: neighbours.name, callers: each, payloadBytes: smallBytes, thinkMs: 0 },
    new Map(measured),
  );
}

function neighbourTable(rows: readonly CallRow[]): Table {
  return {
    header: ['callers', 'beside a sandbox', 'calls/s', 'p50 µs', 'p99 µs', 'spread of p99', 'p99 to idle'],
    rows: rows.map((row) => {
      const idle = floorOf(row, rows);
      const ratio = idle === undefined ? null : formatRatio(row.p99Us.median / idle.p99Us.median);
      const latencies = [row.p50Us.median, row.p99Us.median, formatSpread(row.p99Us)];
      return [row.callers, row.title, row.callsPerSecond.median, ...latencies, ratio];
    }),
    notes: [],
  };
}
