import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { holdfast } from '../lineup/contenders.js';
import { Lineup } from '../lineup/lineup.js';
import { BenchProcess } from '../processes/child.js';
import type { Contender } from '../processes/contender.js';
import { cpuByProcess, type Role } from '../processes/process-tree.js';
import type { Bench } from './scenario.js';

const payloadBytes = 100;
const withinMs = 30_000;

/** What goes on while processes are profiled, and those that have a part in it. */
interface ProfiledLoad {
  /** How their files begin. */
  readonly prefix: string;
  readonly roles: readonly Role[];
  readonly run: (contender: Contender, turn: number) => Promise<unknown>;
}

const warmCalls: ProfiledLoad = {
  prefix: '',
  roles: ['client', 'worker', 'container'],
  run: (contender) => contender.load({ callers: 64, seconds: 5, thinkMs: 0, payloadBytes }),
};

const newNames: ProfiledLoad = {
  prefix: 'names-',
  roles: ['client', 'router', 'worker', 'container'],
  run: (contender, turn) =>
    contender.measure('firstCalls', {
      ...{ className: 'Packed', callers: 8, names: 5_000, pauseMs: 0 },
      ...{ prefix: `turn-${turn}`, endsLater: false },
    }),
};

/**
 * Writes `.cpuprofile` files of the processes that have a part in warm calls of 64 callers and in new packed names of 8: one
 * process after the other, since each opens the same port for it.
 */
export async function profileProduct(folder: string, bench: Bench): Promise<readonly string[]> {
  mkdirSync(folder, { recursive: true });
  await using lineup = await Lineup.open([holdfast], bench.signal);
  const files: string[] = [];
  for (const contender of lineup.contenders) {
    await contender.warmUp({ calls: bench.settings.warmupCalls, payloadBytes });
    for (const load of [warmCalls, newNames]) files.push(...(await profile(contender, load, { folder, bench })));
  }
  return files;
}

async function profile(
  contender: Contender,
  { prefix, roles, run }: ProfiledLoad,
  { folder, bench }: { readonly folder: string; readonly bench: Bench },
): Promise<readonly string[]> {
  const { say, signal } = bench;
  const before = cpuByProcess();
  await run(contender, 0);
  const spent = new Map([...cpuByProcess()].map(([pid, seconds]) => [pid, seconds - (before.get(pid) ?? 0)]));
  const files: string[] = [];
  for (const [index, role] of roles.entries()) {
    const file = join(folder, `${prefix}${role}.cpuprofile`);
    // Warm containers wait beside the one that has a part in it.
    const pids = [...contender.processes].filter(([, of]) => of === role).map(([pid]) => pid);
    const pid = pids.reduce((most, each) => ((spent.get(each) ?? 0) > (spent.get(most) ?? 0) ? each : most));
    say(`profiling the ${role}, process ${pid}`);
    await using profiler = new BenchProcess('profile-main', [String(pid), file], ['--experimental-websocket']);
    await profiler.receive({ withinMs, signal });
    await run(contender, index + 1);
    profiler.send({ kind: 'stop' });
    await profiler.receive({ withinMs, signal });
    files.push(file);
  }
  return files;
}
