import { holdfast, pathFloor, tcpContainer } from '../lineup/contenders.js';
import { Lineup } from '../lineup/lineup.js';
import { callRows } from '../report/row.js';
import { callTable } from '../report/tables.js';
import { callsOf, smallBytes } from './loads.js';
import { warmUpNames } from './new-names.js';
import type { Bench, Scenario } from './scenario.js';

/** In which a worker that does nothing else has a warm container again. */
const pauseMs = 500;
const callers = 1;
/** In one repetition. Prepared containers are forgotten while it is the others' turn, so that the first two of it find none. */
const names = 16;

const tables: Scenario['tables'] = (rows) => [callTable(callsOf(rows), { pauses: true })];

/**
 * A new instance that has a container of its own: the worker takes a warm one. One at a time; only the latency counts. Client,
 * router and worker have made many instances of another class before.
 */
export const firstCall: Scenario = {
  name: 'first-call',
  title:
    'first call of a new instance with a container of its own, from the warm pool, one at a time, after many names of another class',

  async run(bench) {
    await using lineup = await Lineup.open([tcpContainer, pathFloor, holdfast], bench.signal);
    for (const contender of lineup.contenders) {
      bench.say(`warming up ${contender.title}`);
      await warmUpNames(contender, bench.settings.warmupNames);
    }
    return await measure(lineup, bench, this.name);
  },

  tables,
};

/** The same of processes that have just been started. */
export const earlyFirstCall: Scenario = {
  name: 'first-call-early',
  title: 'the same soon after a start',

  async run(bench) {
    await using lineup = await Lineup.open([tcpContainer, pathFloor, holdfast], bench.signal);
    return await measure(lineup, bench, this.name);
  },

  tables,
};

async function measure(lineup: Lineup, { settings, say, cores }: Bench, scenario: string) {
  const plan = { className: 'Plain', callers, names: settings.isQuick ? 1 : names, pauseMs, endsLater: true };
  say(`${plan.names} first calls at a time`);
  const found = await cores.pollingDuring(() =>
    lineup.inTurn(settings.repetitions + 1, async (contender, repetition) => {
      const measurement = await contender.measure('firstCalls', { ...plan, prefix: `run-${repetition}` });
      await contender.endFirstCalls();
      return measurement;
    }),
  );
  // The first repetition compiles what the others use.
  const warm = new Map([...found].map(([contender, measurements]) => [contender, measurements.slice(1)] as const));
  return callRows({ scenario, callers, payloadBytes: smallBytes, thinkMs: 0 }, warm);
}
