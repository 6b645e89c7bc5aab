import { grpcStream, holdfast, holdfastSerial, tcpContainer } from '../lineup/contenders.js';
import { Lineup } from '../lineup/lineup.js';
import { callTable } from '../report/tables.js';
import { callsOf, loadsOf, measureLoads, warmUp } from './loads.js';
import type { Scenario } from './scenario.js';

const thinkMs = 1;

/** Callers that pause for a random time, so that their calls arrive one by one: batches do not form by themselves. */
export const outOfStep: Scenario = {
  name: 'out-of-step',
  title: `warm calls out of step: each caller pauses 0 to ${thinkMs} ms between calls, 100 B`,

  async run(bench) {
    await using lineup = await Lineup.open([tcpContainer, grpcStream, holdfast, holdfastSerial], bench.signal);
    await warmUp(lineup, bench);
    const loads = loadsOf(bench.settings.isQuick ? [64] : [16, 64, 256], thinkMs);
    return await measureLoads(lineup, bench, { scenario: this.name, loads });
  },

  tables: (rows) => [callTable(callsOf(rows))],
};
