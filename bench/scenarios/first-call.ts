import { Lineup } from '../lineup/lineup.js';
import { printCalls } from '../report/print.js';
import { type Row, summarise } from '../report/row.js';
import type { Scenario } from './scenario.js';

/** In which a worker that does nothing else has a warm container again. */
const pauseMs = 1_000;

/** A new instance that has a container of its own: the worker takes a warm one. One at a time; only the latency counts. */
export const firstCall: Scenario = {
  name: 'first-call',
  title: 'first call of a new instance with a container of its own, from the warm pool, 1 caller',

  async run({ settings, signal, say }): Promise<Row[]> {
    await using lineup = await Lineup.open(['holdfast'], signal);
    const plan = { className: 'Plain', calls: settings.isQuick ? 1 : 10, pauseMs };
    say(`${plan.calls} first calls at a time`);
    const found = await lineup.inTurn(settings.repetitions, (contender, repetition) =>
      contender.measure('firstCalls', { ...plan, prefix: `run-${repetition}` }),
    );
    return [...found].map(([{ name, title }, measurements]) =>
      summarise({ scenario: this.name, target: name, title, callers: 1, payloadBytes: 100, thinkMs: 0 }, measurements),
    );
  },

  print: (rows) => printCalls(rows, 'calls/s, pauses included'),
};
