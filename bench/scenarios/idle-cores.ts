import { grpcStream, holdfast, holdfastSerial, pathFloor, tcpContainer } from '../lineup/contenders.js';
import { Lineup } from '../lineup/lineup.js';
import { callTable } from '../report/tables.js';
import { callsOf, loadsOf, measureLoads, warmUp } from './loads.js';
import type { Scenario } from './scenario.js';

/** Elsewhere cores are kept awake. Here they are not: each hop of a lonely call wakes one that slept. */
export const idleCores: Scenario = {
  name: 'idle-cores',
  title: 'the same of one caller, where nothing keeps the cores of the machine awake',

  async run(bench) {
    await using lineup = await Lineup.open(
      [tcpContainer, grpcStream, pathFloor, holdfast, holdfastSerial],
      bench.signal,
    );
    await warmUp(lineup, bench);
    const loads = { scenario: this.name, loads: loadsOf([1]) };
    return await bench.cores.asleepDuring(() => measureLoads(lineup, bench, loads));
  },

  tables: (rows) => [callTable(callsOf(rows))],
};
