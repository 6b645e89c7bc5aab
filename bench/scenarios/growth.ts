import {
  type ClusterShape,
  clusterOf,
  enoughClients,
  holdfast,
  type ProductSpec,
  tcpContainers,
} from '../lineup/contenders.js';
import { Lineup } from '../lineup/lineup.js';
import { callTable, cpuTable } from '../report/tables.js';
import { callsOf, loadsOf, measureLoads, steadyStretch, warmUp } from './loads.js';
import type { Scenario } from './scenario.js';

/** As many as the largest cluster has workers, everywhere: containers shall not be what differs. */
const containers = 4;
const floor = { ...tcpContainers(containers), clients: enoughClients };

/** What is compared. Another way to spread a worker over cores is another line here. */
const shapes: readonly { readonly name: string; readonly title: string; readonly cluster: ClusterShape }[] = [
  1, 2, 4,
].map((workers) => ({
  name: `workers-${workers}`,
  title: `Holdfast, ${workers} ${workers === 1 ? 'worker' : 'workers'}`,
  cluster: clusterOf(workers),
}));

/** The same four containers behind more and more workers, each a process of its own. */
export const growth: Scenario = {
  name: 'growth',
  title: `warm calls of ${containers} instances on more and more workers, 100 B`,

  async run(bench) {
    const used = bench.settings.isQuick ? shapes.slice(0, 2) : shapes;
    await using lineup = await Lineup.open([floor, ...used.map(productOn)], bench.signal);
    await warmUp(lineup, bench);
    const loads = loadsOf(bench.settings.isQuick ? [64] : [64, 128, 256]);
    return await measureLoads(lineup, bench, { scenario: this.name, loads, stretch: steadyStretch });
  },

  tables: (rows) => [callTable(callsOf(rows)), cpuTable(callsOf(rows))],
};

function productOn(shape: (typeof shapes)[number]): ProductSpec {
  return { ...holdfast, ...shape, floor: floor.name, instances: containers, clients: enoughClients };
}
