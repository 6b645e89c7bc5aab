import {
  grpcStream,
  grpcUnary,
  holdfast,
  holdfastSerial,
  pathFloor,
  tcpContainer,
  tcpEcho,
} from '../lineup/contenders.js';
import { Lineup } from '../lineup/lineup.js';
import { callTable, cpuTable } from '../report/tables.js';
import { callsOf, loadsOf, measureLoads, warmUp } from './loads.js';
import type { Scenario } from './scenario.js';

/** Where the CPU time by process is shown: it is steady there, and all caches are warm. */
const cpuCallers = 64;

/** Calls of one named instance that is awake, from callers that wait for each answer. */
export const warmCalls: Scenario = {
  name: 'warm',
  title: 'warm calls of one named instance, 100 B',

  async run(bench) {
    const specs = [tcpEcho, tcpContainer, grpcUnary, grpcStream, pathFloor, holdfast, holdfastSerial];
    await using lineup = await Lineup.open(specs, bench.signal);
    await warmUp(lineup, bench);
    const loads = loadsOf(bench.settings.isQuick ? [1, 16] : [1, 16, 64, 256]);
    return await measureLoads(lineup, bench, { scenario: this.name, loads });
  },

  tables(rows) {
    const calls = callsOf(rows);
    const cpuRows = calls.filter((row) => row.callers === cpuCallers);
    return [callTable(calls), ...(cpuRows.length === 0 ? [] : [cpuTable(cpuRows)])];
  },
};
