import { holdfast } from '../lineup/contenders.js';
import { Lineup } from '../lineup/lineup.js';
import type { Contender } from '../processes/contender.js';
import { type MemoryByRole, memoryByRole } from '../processes/memory-by-role.js';
import { kernelBytes } from '../processes/process-memory.js';
import { formatNumber } from '../report/format.js';
import { callRows, type Measurement, memoryRow, type Row } from '../report/row.js';
import { callTable, memoryTable } from '../report/tables.js';
import { callsOf } from './loads.js';
import type { Bench, Scenario } from './scenario.js';

const scenario = 'idle-sessions';
const usualSessions = 2_000;
const quickSessions = 10;
const steps = 5;
const callers = 4;
const sampled = 50;

/** Sessions that live and do nothing, all on one worker: what each takes, and that each of a sample still answers. */
export const idleSessions: Scenario = {
  name: scenario,
  title: 'sessions of sandboxes that live and are idle, all on one worker',

  async run(bench) {
    const count = bench.settings.isQuick ? quickSessions : usualSessions;
    const cluster = { name: scenario, workers: [{ maxContainers: count + steps }] };
    await using lineup = await Lineup.open([{ ...holdfast, cluster }], bench.signal);
    const [contender] = lineup.contenders;
    if (contender === undefined) throw new Error('the lineup is empty');
    const { redisUrl } = lineup.cluster(cluster);
    // Sandboxes give way to what keeps cores awake, too.
    return await bench.cores.pollingDuring(() => fill(contender, bench, { count, redisUrl }));
  },

  tables: (rows) => [
    memoryTable(rows.filter((row) => row.kind === 'memory')),
    callTable(callsOf(rows), { what: 'sessions/s' }),
  ],
};

async function fill(
  contender: Contender,
  { say, signal }: Bench,
  { count, redisUrl }: { readonly count: number; readonly redisUrl: string },
): Promise<Row[]> {
  // What the first ones load and compile, and the pool, is not what one more costs.
  await contender.measure('sessions', { sessions: steps, callers: 1 });
  const look = async (): Promise<MemoryByRole> => {
    const processes = await memoryByRole(contender.processes, { redisUrl, signal });
    return { ...processes, kernel: kernelBytes() };
  };
  const seen = [await look()];
  const making: Measurement[] = [];
  for (let step = 1; step <= steps; step += 1) {
    say(`making ${formatNumber(count / steps)} sessions, ${step} of ${steps}`);
    making.push(await contender.measure('sessions', { sessions: count / steps, callers }));
    seen.push(await look());
  }
  say('a command in some of them');
  const every = Math.ceil(count / sampled);
  const sampling = await contender.measure('sampleSessions', { times: sampled, every, pauseMs: 0 });
  say('ending them');
  await contender.endSessions({ sessions: count, callers });
  const head = { scenario, target: 'idle', title: 'idle session' };
  const load = { scenario, payloadBytes: 0, thinkMs: 0 };
  const made = { name: 'making', title: 'create, and a first exec', floor: null };
  const asked = { name: 'sample', title: `exec in one of ${formatNumber(count)}`, floor: null };
  return [
    memoryRow(head, { count, seen }),
    ...callRows({ ...load, callers }, new Map([[made, making]])),
    ...callRows({ ...load, callers: 1 }, new Map([[asked, [sampling]]])),
  ];
}
