import { holdfast, tcpContainer } from '../lineup/contenders.js';
import { Lineup } from '../lineup/lineup.js';
import { callTable, cpuTable } from '../report/tables.js';
import { callsOf, loadsOf, measureLoads, warmUp } from './loads.js';
import type { Scenario } from './scenario.js';

const spawned = { ...holdfast, name: 'spawn', title: 'Holdfast, spawn', className: 'Spawned' };
const serial = {
  ...spawned,
  name: 'spawn-serial',
  title: 'Holdfast, spawn, one at a time',
  className: 'SpawnedSerial',
};

/** What it costs to leave a call there: until it is recorded, while those before it run and their ends are recorded. */
export const spawn: Scenario = {
  name: 'spawn',
  title: 'calls of one instance that are spawned, 100 B, until they are recorded',

  async run(bench) {
    await using lineup = await Lineup.open([tcpContainer, holdfast, spawned, serial], bench.signal);
    await warmUp(lineup, bench, { share: 0.2 });
    const loads = loadsOf(bench.settings.isQuick ? [16] : [1, 16, 64]);
    return await measureLoads(lineup, bench, { scenario: this.name, loads });
  },

  tables(rows) {
    const calls = callsOf(rows);
    return [callTable(calls), cpuTable(calls.filter(({ callers }) => callers === 16))];
  },
};
