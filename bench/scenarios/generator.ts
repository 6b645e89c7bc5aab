import { Lineup } from '../lineup/lineup.js';
import { printCalls } from '../report/print.js';
import { type Row, summarise } from '../report/row.js';
import type { Scenario } from './scenario.js';

/** Items of a generator that yields small numbers as fast as it can; a latency is the time between two items. */
export const generator: Scenario = {
  name: 'generator',
  title: 'items of generators',

  async run({ settings, signal, say }): Promise<Row[]> {
    await using lineup = await Lineup.open(['holdfast'], signal);
    const items = settings.isQuick ? 1_000 : 100_000;
    const rows: Row[] = [];
    for (const readers of [1, 16]) {
      say(`${readers} generators`);
      const plan = { readers, items: Math.ceil(items / readers) };
      await lineup.inTurn(1, (contender) => contender.measure('items', plan));
      const found = await lineup.inTurn(settings.repetitions, (contender) => contender.measure('items', plan));
      for (const [{ name, title }, measurements] of found) {
        const head = { scenario: this.name, target: name, title, callers: readers, payloadBytes: 0, thinkMs: 0 };
        rows.push(summarise(head, measurements));
      }
    }
    return rows;
  },

  print: (rows) => printCalls(rows, 'items/s'),
};
