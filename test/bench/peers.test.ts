import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { measureColdNames } from '../../bench/peers/cold-names.js';
import { type Absence, Contest } from '../../bench/peers/contest.js';
import type { Peer } from '../../bench/peers/peers.js';
import { measureWarmCalls } from '../../bench/peers/warm-calls.js';
import { AwakeCores } from '../../bench/processes/cores.js';
import type { Bench } from '../../bench/scenarios/scenario.js';
import { isRunning } from '../runtime/process/foreign-process.js';

const cwd = join(import.meta.dirname, '../..');
const bench: Bench = {
  settings: { repetitions: 2, seconds: 0.1, warmupCalls: 100, warmupNames: 20, isQuick: true },
  signal: new AbortController().signal,
  cores: new AwakeCores(),
  say: () => undefined,
};

/** A cluster of processes and load generators: a loaded machine takes its time. */
describe('the peers beside the product', { timeout: 240_000 }, () => {
  it('measures those that run with the same loads, lets the others leave with a reason, and ends all processes', async () => {
    const absences: Absence[] = [];
    const peers = [fixture('echo-peer'), fixture('failing-peer'), fixture('no-peer')];
    const contest = await Contest.open(peers, { bench, absences });
    const pids = contest.entrants.flatMap(({ contender }) => [...contender.processes.keys()]);
    try {
      const warm = await measureWarmCalls(contest, bench);
      const cold = await measureColdNames(contest, bench);

      const targets = ['tcp-container', 'path', 'holdfast', 'echo-peer'];
      const loads = [['warm', 1] as const, ['warm', 16] as const, ['idle-cores', 1] as const];
      expect(warm.map(({ target, scenario, callers }) => [target, scenario, callers])).toEqual(
        loads.flatMap((load) => targets.map((target) => [target, ...load])),
      );
      for (const row of [...warm, ...cold.calls]) expect(row).toMatchObject({ repetitions: 2, payloadBytes: 100 });
      for (const row of warm) expect(row.calls).toBeGreaterThan(0);
      expect(cold.calls.map(({ scenario, target, calls }) => [scenario, target, calls])).toEqual([
        ['cold-names', 'path', 200],
        ['cold-names', 'holdfast', 200],
        ['cold-names', 'echo-peer', 10],
        ['cold-names-early', 'path', 80],
        ['cold-names-early', 'holdfast', 80],
        ['cold-names-early', 'echo-peer', 4],
      ]);
      expect(cold.memory).toEqual([
        expect.objectContaining({ target: 'holdfast', count: 80, bytesEach: expect.any(Number) }),
        expect.objectContaining({ target: 'echo-peer', count: 4, bytesEach: expect.any(Number) }),
      ]);
      expect(absences).toEqual([
        { peer: 'no-peer', title: 'no-peer', why: expect.stringMatching(/^Cannot find module/) },
        { peer: 'failing-peer', title: 'failing-peer', why: expect.stringMatching(/it is out of order$/) },
      ]);
    } finally {
      await contest[Symbol.asyncDispose]();
    }
    expect(pids.filter(isRunning)).toEqual([]);
  });

  it('refuses a peer that there is not, and names those that there are', async () => {
    const args = ['--import', 'tsx', 'bench/peers/run.ts', '--only', 'nothing'];
    const failure = promisify(execFile)(process.execPath, args, { cwd });
    await expect(failure).rejects.toThrow(/no peer 'nothing'; expected workerd, moleculer, restate, rivet/);
  });
});

function fixture(name: string): Peer {
  const module = new URL(`fixtures/${name}.mjs`, import.meta.url).href;
  return { name, title: name, module, warmupCalls: 100, warmupNames: 10, coldNames: 100, isResident: true };
}
