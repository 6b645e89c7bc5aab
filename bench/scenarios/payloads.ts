import { Lineup } from '../lineup/lineup.js';
import { printCalls } from '../report/print.js';
import { type Row, summarise } from '../report/row.js';
import type { Scenario } from './scenario.js';

const callers = 16;
/** With as many calls each as make the path warm without taking long. */
const sizes = [
  { payloadBytes: 4_096, warmupShare: 0.4 },
  { payloadBytes: 65_536, warmupShare: 0.05 },
  { payloadBytes: 1_048_576, warmupShare: 0.005 },
];

/** Larger payloads, there and back. */
export const payloads: Scenario = {
  name: 'payloads',
  title: `the same with larger payloads both ways, ${callers} callers`,

  async run({ settings, signal, say }): Promise<Row[]> {
    await using lineup = await Lineup.open(['tcp-echo', 'tcp-container', 'grpc-stream', 'holdfast'], signal);
    const rows: Row[] = [];
    for (const { payloadBytes, warmupShare } of sizes) {
      say(`${payloadBytes} bytes`);
      for (const contender of lineup.contenders) {
        await contender.warmUp({ calls: Math.ceil(settings.warmupCalls * warmupShare), payloadBytes });
      }
      const load = { callers, seconds: settings.seconds, thinkMs: 0, payloadBytes };
      const found = await lineup.inTurn(settings.repetitions, (contender) => contender.load(load));
      for (const [{ name, title }, measurements] of found) {
        const head = { scenario: this.name, target: name, title, callers, payloadBytes, thinkMs: 0 };
        rows.push(summarise(head, measurements));
      }
    }
    return rows;
  },

  print: (rows) => printCalls(rows),
};
