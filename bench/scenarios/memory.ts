import { clusterOf, holdfast, tcpContainer } from '../lineup/contenders.js';
import { Lineup } from '../lineup/lineup.js';
import type { Contender } from '../processes/contender.js';
import { type MemoryByRole, memoryByRole } from '../processes/memory-by-role.js';
import { formatNumber } from '../report/format.js';
import { callRows, type Measurement, memoryRow, type Row } from '../report/row.js';
import { callTable, cpuTable, memoryTable } from '../report/tables.js';
import { callsOf, loadsOf, measureLoads, smallBytes, steadyStretch, warmUp } from './loads.js';
import type { Bench, Scenario } from './scenario.js';

const scenario = 'memory';
const makers = 64;
const steps = 5;
const callers = 64;

/**
 * Instances that were called once and are idle, all in one container: what all processes and Redis take for each. And what
 * a warm call costs beside them.
 */
export const memory: Scenario = {
  name: scenario,
  title: 'memory of idle packed instances, all processes and Redis, and warm calls beside them',

  async run(bench) {
    const count = bench.settings.isQuick ? 500 : 100_000;
    const crowded = {
      ...{ ...holdfast, name: 'crowded', title: `Holdfast among ${formatNumber(count)} idle` },
      cluster: clusterOf(1, 'crowded'),
    };
    await using lineup = await Lineup.open([tcpContainer, holdfast, crowded], bench.signal);
    const filled = lineup.contenders.find(({ name }) => name === crowded.name);
    if (filled === undefined) throw new Error('the cluster that is filled is not in the lineup');
    await warmUp(lineup, bench);
    const made = await fill(filled, bench, { count, redisUrl: lineup.cluster(crowded.cluster).redisUrl });
    const loads = { scenario, loads: loadsOf([callers]), stretch: steadyStretch };
    const beside = await measureLoads(lineup, bench, loads);
    return [...made, ...beside];
  },

  tables(rows) {
    const making = callsOf(rows).filter((row) => row.target === 'making');
    const beside = callsOf(rows).filter((row) => row.target !== 'making');
    return [
      memoryTable(rows.filter((row) => row.kind === 'memory')),
      callTable(making, { what: 'names/s' }),
      callTable(beside),
      cpuTable(beside),
    ];
  },
};

async function fill(
  contender: Contender,
  { say, signal }: Bench,
  { count, redisUrl }: { readonly count: number; readonly redisUrl: string },
): Promise<Row[]> {
  const plan = { className: 'Dense', callers: makers, pauseMs: 0, endsLater: false };
  const each = count / steps;
  // The container itself, and what the first instances load and compile, is not what one more costs.
  await contender.measure('firstCalls', { ...plan, names: Math.min(1_000, each), prefix: 'first' });
  const look = (): Promise<MemoryByRole> => memoryByRole(contender.processes, { redisUrl, signal });
  const seen = [await look()];
  const making: Measurement[] = [];
  for (let step = 1; step <= steps; step += 1) {
    say(`making ${each} instances, ${step} of ${steps}`);
    making.push(await contender.measure('firstCalls', { ...plan, names: each, prefix: `step-${step}` }));
    seen.push(await look());
  }
  const load = { scenario, callers: makers, payloadBytes: smallBytes, thinkMs: 0 };
  const head = { scenario, target: 'dense', title: 'idle packed instance' };
  const made = { name: 'making', title: 'Holdfast, all in one container', floor: null };
  return [memoryRow(head, { count, seen }), ...callRows(load, new Map([[made, making]]))];
}
