import { holdfast, tcpContainer } from '../lineup/contenders.js';
import { Lineup } from '../lineup/lineup.js';
import { type CallRow, callRows } from '../report/row.js';
import { callTable, cpuTable } from '../report/tables.js';
import { callsOf } from './loads.js';
import type { Scenario } from './scenario.js';

/** Items of a generator that yields small numbers as fast as it can; a latency is the time between two items. */
export const generator: Scenario = {
  name: 'generator',
  title: 'items of generators',

  async run({ settings, signal, say }) {
    await using lineup = await Lineup.open([tcpContainer, holdfast], signal);
    const items = settings.isQuick ? 1_000 : 200_000;
    const rows: CallRow[] = [];
    for (const readers of [1, 16]) {
      say(`${readers} generators`);
      const plan = { readers, items: Math.ceil(items / readers) };
      await lineup.inTurn(1, (contender) => contender.measure('items', plan));
      const found = await lineup.inTurn(settings.repetitions, (contender) => contender.measure('items', plan));
      rows.push(...callRows({ scenario: this.name, callers: readers, payloadBytes: 0, thinkMs: 0 }, found));
    }
    return rows;
  },

  tables: (rows) => [callTable(callsOf(rows), { what: 'items/s' }), cpuTable(callsOf(rows), 'items')],
};
