import { holdfast, pathFloor, tcpContainer } from '../lineup/contenders.js';
import { Lineup } from '../lineup/lineup.js';
import { callRows } from '../report/row.js';
import { callTable } from '../report/tables.js';
import { callsOf, smallBytes } from './loads.js';
import type { Scenario } from './scenario.js';

/** In which a worker that does nothing else has a warm container again. */
const pauseMs = 500;
const callers = 1;

/** A new instance that has a container of its own: the worker takes a warm one. One at a time; only the latency counts. */
export const firstCall: Scenario = {
  name: 'first-call',
  title: 'first call of a new instance with a container of its own, from the warm pool, one at a time',

  async run({ settings, signal, say }) {
    await using lineup = await Lineup.open([tcpContainer, pathFloor, holdfast], signal);
    const plan = { className: 'Plain', callers, names: settings.isQuick ? 1 : 6, pauseMs, endsLater: true };
    say(`${plan.names} first calls at a time`);
    const found = await lineup.inTurn(settings.repetitions + 1, async (contender, repetition) => {
      const measurement = await contender.measure('firstCalls', { ...plan, prefix: `run-${repetition}` });
      await contender.endFirstCalls();
      return measurement;
    });
    // The first repetition compiles what the others use.
    const warm = new Map([...found].map(([contender, measurements]) => [contender, measurements.slice(1)] as const));
    return callRows({ scenario: this.name, callers, payloadBytes: smallBytes, thinkMs: 0 }, warm);
  },

  tables: (rows) => [callTable(callsOf(rows), { pauses: true })],
};
