import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { holdfast } from '../lineup/contenders.js';
import { Lineup } from '../lineup/lineup.js';
import { BenchProcess } from '../processes/child.js';
import type { Contender } from '../processes/contender.js';
import { cpuSecondsOf } from '../processes/process-tree.js';
import type { Bench } from './scenario.js';

const callers = 64;
const payloadBytes = 100;
const seconds = 5;
const withinMs = 30_000;

/**
 * Writes `.cpuprofile` files of client, worker and container under warm calls of 64 callers: one process after the other,
 * since each opens the same port for it.
 */
export async function profileProduct(folder: string, { settings, say, signal }: Bench): Promise<readonly string[]> {
  mkdirSync(folder, { recursive: true });
  await using lineup = await Lineup.open([holdfast], signal);
  const files: string[] = [];
  for (const contender of lineup.contenders) {
    await contender.warmUp({ calls: settings.warmupCalls, payloadBytes });
    for (const role of ['client', 'worker', 'container'] as const) {
      const file = join(folder, `${role}.cpuprofile`);
      const pid = busiest(contender, role);
      say(`profiling the ${role}, process ${pid}`);
      await using profiler = new BenchProcess('profile-main', [String(pid), file], ['--experimental-websocket']);
      await profiler.receive({ withinMs, signal });
      await contender.load({ callers, seconds, thinkMs: 0, payloadBytes });
      profiler.send({ kind: 'stop' });
      await profiler.receive({ withinMs, signal });
      files.push(file);
    }
  }
  return files;
}

/** Warm containers wait beside the one that has the instance. */
function busiest(contender: Contender, wanted: string): number {
  const pids = [...contender.processes].filter(([, role]) => role === wanted).map(([pid]) => pid);
  return pids.reduce((most, pid) => (cpuSecondsOf(pid) > cpuSecondsOf(most) ? pid : most));
}
