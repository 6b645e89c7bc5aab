import { holdfast, holdfastFunction, holdfastPool, tcpContainer } from '../lineup/contenders.js';
import { Lineup } from '../lineup/lineup.js';
import { callTable, cpuTable } from '../report/tables.js';
import { callsOf, loadsOf, measureLoads, warmUp } from './loads.js';
import type { Scenario } from './scenario.js';

/** Calls of functions beside those of a class. */
export const functions: Scenario = {
  name: 'functions',
  title: 'warm calls of a function, 100 B',

  async run(bench) {
    await using lineup = await Lineup.open([tcpContainer, holdfast, holdfastFunction, holdfastPool], bench.signal);
    await warmUp(lineup, bench);
    const loads = loadsOf(bench.settings.isQuick ? [16] : [1, 16, 64]);
    return await measureLoads(lineup, bench, { scenario: this.name, loads });
  },

  tables: (rows) => [callTable(callsOf(rows)), cpuTable(callsOf(rows))],
};
