import { Lineup } from '../lineup/lineup.js';
import { printCalls, printCpu } from '../report/print.js';
import { type Row, summarise } from '../report/row.js';
import type { Scenario } from './scenario.js';

const callers = 8;

/** Names that nobody has used before, each resolved, placed, activated and called once; a thousand share a container. */
export const coldNames: Scenario = {
  name: 'cold-names',
  title: `new names of a packed class (1 000 in a container), with the first call, ${callers} callers`,

  async run({ settings, signal, say }): Promise<Row[]> {
    await using lineup = await Lineup.open(['holdfast'], signal);
    const plan = { className: 'Packed', callers, names: settings.isQuick ? 50 : 2_000 };
    say('warming up');
    await lineup.inTurn(1, (contender) => contender.measure('coldNames', { ...plan, prefix: 'warm-up' }));
    say(`${plan.names} names at a time`);
    const found = await lineup.inTurn(settings.repetitions, (contender, repetition) =>
      contender.measure('coldNames', { ...plan, prefix: `run-${repetition}` }),
    );
    return [...found].map(([{ name, title }, measurements]) =>
      summarise({ scenario: this.name, target: name, title, callers, payloadBytes: 100, thinkMs: 0 }, measurements),
    );
  },

  print: (rows) => `${printCalls(rows, 'names/s')}\n\n${printCpu(rows)}`,
};
