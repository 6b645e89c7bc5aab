import { holdfast, type ProductSpec, tcpContainer, tcpContainers } from '../lineup/contenders.js';
import { Lineup } from '../lineup/lineup.js';
import { callTable, cpuTable } from '../report/tables.js';
import { callsOf, loadsOf, measureLoads, steadyStretch, warmUp } from './loads.js';
import type { Scenario } from './scenario.js';

/** Containers have to be compiled warm each for itself. */
const warmupShare = 2;

/** The same load on one instance, on many in one container, and on many containers. */
export const instances: Scenario = {
  name: 'instances',
  title: 'warm calls of many instances, 100 B',

  async run(bench) {
    const { isQuick } = bench.settings;
    const containers = isQuick ? 4 : 64;
    const specs = [
      tcpContainer,
      shared(1),
      shared(64),
      shared(128),
      tcpContainers(containers),
      { ...many(containers, 'containers'), floor: tcpContainers(containers).name },
    ];
    await using lineup = await Lineup.open(specs, bench.signal);
    await warmUp(lineup, bench, { share: warmupShare });
    const loads = loadsOf(isQuick ? [64] : [64, 256]);
    return await measureLoads(lineup, bench, { scenario: this.name, loads, stretch: steadyStretch });
  },

  tables: (rows) => [callTable(callsOf(rows)), cpuTable(callsOf(rows))],
};

/** In one container. */
function shared(count: number): ProductSpec {
  return { ...many(count, 'shared'), className: 'Shared' };
}

function many(count: number, what: 'shared' | 'containers'): ProductSpec {
  const title = what === 'shared' ? `${count} packed` : `${count} containers`;
  return { ...holdfast, name: `${what}-${count}`, title: `Holdfast, ${title}`, instances: count };
}
