import { grpcStream, holdfast, tcpContainer } from '../lineup/contenders.js';
import { Lineup } from '../lineup/lineup.js';
import type { CallRow } from '../report/row.js';
import { callTable } from '../report/tables.js';
import { callsOf, measureLoads, smallBytes, warmUp } from './loads.js';
import type { Scenario } from './scenario.js';

const callers = 16;
/** With as many calls each as make the path warm without taking long. */
const sizes = [
  { payloadBytes: smallBytes, share: 1 },
  { payloadBytes: 4_096, share: 0.4 },
  { payloadBytes: 65_536, share: 0.05 },
  { payloadBytes: 1_048_576, share: 0.005 },
];

/** Larger payloads, there and back. */
export const payloads: Scenario = {
  name: 'payloads',
  title: `warm calls with payloads of all sizes both ways, ${callers} callers`,

  async run(bench) {
    await using lineup = await Lineup.open([tcpContainer, grpcStream, holdfast], bench.signal);
    const rows: CallRow[] = [];
    for (const { payloadBytes, share } of sizes) {
      await warmUp(lineup, bench, { share, bytes: payloadBytes });
      const loads = [{ callers, payloadBytes, thinkMs: 0 }];
      rows.push(...(await measureLoads(lineup, bench, { scenario: this.name, loads })));
    }
    return rows;
  },

  tables: (rows) => [callTable(callsOf(rows))],
};
