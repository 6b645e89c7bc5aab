import { Lineup } from '../lineup/lineup.js';
import { printCalls, printCpu } from '../report/print.js';
import { type Row, summarise } from '../report/row.js';
import type { Scenario } from './scenario.js';

const payloadBytes = 100;
/** Where the CPU time by process is shown: it is steady there, and all caches are warm. */
const cpuCallers = 64;

/** Calls of one named instance that is awake, from callers that wait for each answer. */
export const warmCalls: Scenario = {
  name: 'warm',
  title: `warm calls of one named instance, ${payloadBytes} B`,

  async run({ settings, signal, say }): Promise<Row[]> {
    const names = ['tcp-echo', 'tcp-container', 'grpc-unary', 'grpc-stream', 'holdfast', 'holdfast-serial'] as const;
    await using lineup = await Lineup.open(names, signal);
    for (const contender of lineup.contenders) {
      say(`warming up ${contender.title}`);
      await contender.warmUp({ calls: settings.warmupCalls, payloadBytes });
    }
    const rows: Row[] = [];
    for (const callers of settings.isQuick ? [1, 16] : [1, 16, 64, 256]) {
      say(`${callers} callers`);
      const load = { callers, seconds: settings.seconds, thinkMs: 0, payloadBytes };
      const found = await lineup.inTurn(settings.repetitions, (contender) => contender.load(load));
      for (const [{ name, title }, measurements] of found) {
        const head = { scenario: this.name, target: name, title, callers, payloadBytes, thinkMs: 0 };
        rows.push(summarise(head, measurements));
      }
    }
    return rows;
  },

  print(rows) {
    const cpuRows = rows.filter((row) => row.callers === cpuCallers);
    return [printCalls(rows), ...(cpuRows.length === 0 ? [] : [printCpu(cpuRows)])].join('\n\n');
  },
};
