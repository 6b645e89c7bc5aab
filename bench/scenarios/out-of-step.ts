import { Lineup } from '../lineup/lineup.js';
import { printCalls } from '../report/print.js';
import { type Row, summarise } from '../report/row.js';
import type { Scenario } from './scenario.js';

const payloadBytes = 100;
const callers = 64;
const thinkMs = 1;

/** Callers that pause for a random time, so that their calls arrive one by one: batches do not form by themselves. */
export const outOfStep: Scenario = {
  name: 'out-of-step',
  title: `the same, ${callers} callers out of step (each pauses 0 to ${thinkMs} ms between calls)`,

  async run({ settings, signal, say }): Promise<Row[]> {
    const names = ['tcp-echo', 'tcp-container', 'grpc-stream', 'holdfast', 'holdfast-serial'] as const;
    await using lineup = await Lineup.open(names, signal);
    for (const contender of lineup.contenders) {
      say(`warming up ${contender.title}`);
      await contender.warmUp({ calls: settings.warmupCalls, payloadBytes });
    }
    say(`${callers} callers out of step`);
    const load = { callers, seconds: settings.seconds, thinkMs, payloadBytes };
    const found = await lineup.inTurn(settings.repetitions, (contender) => contender.load(load));
    return [...found].map(([{ name, title }, measurements]) =>
      summarise({ scenario: this.name, target: name, title, callers, payloadBytes, thinkMs }, measurements),
    );
  },

  print: (rows) => printCalls(rows),
};
