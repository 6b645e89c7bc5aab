import { holdfast, holdfastFunction } from '../lineup/contenders.js';
import { Lineup } from '../lineup/lineup.js';
import { type CallRow, callRows } from '../report/row.js';
import { callTable, cpuTable } from '../report/tables.js';
import { callsOf } from './loads.js';
import type { Scenario } from './scenario.js';

/** Results of `map`, in order, beside the items of a generator: one call for each, and one for all. */
export const map: Scenario = {
  name: 'map',
  title: 'results of the map of a function',

  async run({ settings, signal, say }) {
    await using lineup = await Lineup.open([holdfast, holdfastFunction], signal);
    const items = settings.isQuick ? 1_000 : 100_000;
    const rows: CallRow[] = [];
    for (const readers of [1, 4]) {
      say(`${readers} maps`);
      const plan = { readers, items: Math.ceil(items / readers) };
      await lineup.inTurn(1, (contender) => contender.measure('items', plan));
      const found = await lineup.inTurn(settings.repetitions, (contender) => contender.measure('items', plan));
      rows.push(...callRows({ scenario: this.name, callers: readers, payloadBytes: 0, thinkMs: 0 }, found));
    }
    return rows;
  },

  tables: (rows) => [callTable(callsOf(rows), { what: 'results/s' }), cpuTable(callsOf(rows), 'results')],
};
