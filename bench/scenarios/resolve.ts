import { clusterOf, holdfast, type ProductSpec, tcpContainer } from '../lineup/contenders.js';
import { Lineup } from '../lineup/lineup.js';
import { fillPins } from '../product/fill-pins.js';
import { formatNumber } from '../report/format.js';
import { type CallRow, callRows } from '../report/row.js';
import { callTable, cpuTable } from '../report/tables.js';
import { callsOf, smallBytes } from './loads.js';
import type { Bench, Scenario } from './scenario.js';

const className = 'Packed';
const leadInShare = 0.15;

/** Where is an instance that is active? Asked of the router by the SDK, among few pins and among very many. */
export const resolve: Scenario = {
  name: 'resolve',
  title: 'resolving an active instance, by the number of pins in the store; the floor is a warm call',

  async run(bench) {
    const counts = bench.settings.isQuick ? [1_000, 2_000] : [1_000, 100_000, 1_000_000];
    const pinsOf = new Map(counts.map((count) => [among(count).name, count]));
    await using lineup = await Lineup.open([tcpContainer, ...counts.map(among)], bench.signal);
    for (const count of counts) await fill(lineup, bench, count);
    const rows: CallRow[] = [];
    for (const callers of [1, 64]) {
      bench.say(`${callers} callers`);
      const { seconds, repetitions } = bench.settings;
      const found = await lineup.inTurn(repetitions, async (contender) => {
        const names = pinsOf.get(contender.name);
        if (names === undefined) return contender.load({ callers, seconds, thinkMs: 0, payloadBytes: smallBytes });
        const plan = { className, callers, names, seconds };
        await contender.measure('resolves', { ...plan, seconds: seconds * leadInShare });
        return contender.measure('resolves', plan);
      });
      rows.push(...callRows({ scenario: this.name, callers, payloadBytes: smallBytes, thinkMs: 0 }, found));
    }
    for (const count of counts) await expectNothingPlaced(lineup, count);
    return rows;
  },

  tables: (rows) => [callTable(callsOf(rows), { what: 'resolves/s' }), cpuTable(callsOf(rows), 'resolves')],
};

/** On a cluster of its own, so that they are measured in turn. */
function among(count: number): ProductSpec {
  const name = `pins-${count}`;
  const title = `Holdfast, ${formatNumber(count)} pins`;
  return { ...holdfast, name, title, className, cluster: clusterOf(1, name) };
}

async function fill(lineup: Lineup, { say, signal, settings }: Bench, count: number): Promise<void> {
  say(`writing ${count} pins`);
  const { name, cluster } = among(count);
  const { redisUrl } = lineup.cluster(cluster);
  // The one instance that the contender has made.
  const like = { account: 'default', app: 'bench', className, id: `${name}-0` };
  await fillPins({ redisUrl, like, count, signal });
  const contender = lineup.contenders.find((each) => each.name === name);
  // Many at once and then one at a time, as warm calls are warmed up.
  for (const callers of [64, 1]) {
    const seconds = settings.isQuick ? 0.2 : 2;
    await contender?.measure('resolves', { className, callers, names: count, seconds });
  }
}

/** @throws where the router placed an instance that it should have found */
async function expectNothingPlaced(lineup: Lineup, count: number): Promise<void> {
  const live = await lineup.cluster(among(count).cluster).liveInstances();
  if (live !== 1) throw new Error(`${live} instances live among ${count} pins, expected the one that was there before`);
}
