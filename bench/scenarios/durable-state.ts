import { holdfast, tcpContainer } from '../lineup/contenders.js';
import { Lineup } from '../lineup/lineup.js';
import { callTable, cpuTable } from '../report/tables.js';
import { callsOf, loadsOf, measureLoads, warmUp } from './loads.js';
import type { Scenario } from './scenario.js';

const put = { ...holdfast, name: 'put', title: 'Holdfast, storage.put', className: 'Durable' };
const putSerial = { ...put, name: 'put-serial', title: 'Holdfast, put, one at a time', className: 'DurableSerial' };
const get = { ...holdfast, name: 'get', title: 'Holdfast, storage.get', className: 'Reading' };

/** What it costs a call to keep 100 B before it answers, or to read them: one script of Redis, checked against the pin. */
export const durableState: Scenario = {
  name: 'durable-state',
  title: 'warm calls of one instance that awaits one put or get of its storage, 100 B',

  async run(bench) {
    await using lineup = await Lineup.open([tcpContainer, holdfast, put, putSerial, get], bench.signal);
    await warmUp(lineup, bench, { share: 0.2 });
    const loads = loadsOf(bench.settings.isQuick ? [16] : [1, 16, 64]);
    return await measureLoads(lineup, bench, { scenario: this.name, loads });
  },

  tables(rows) {
    const calls = callsOf(rows);
    const cpuRows = calls.filter(({ callers }) => callers === 16);
    return [callTable(calls), cpuTable(cpuRows)];
  },
};
