import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { measureColdNames } from '../../bench/peers/cold-names.js';
import { compareWithPeers } from '../../bench/peers/comparison.js';
import { Contest } from '../../bench/peers/contest.js';
import type { Peer } from '../../bench/peers/peers.js';
import { measureWarmCalls } from '../../bench/peers/warm-calls.js';
import type { Row } from '../../bench/report/row.js';
import type { Bench } from '../../bench/scenarios/scenario.js';

const cwd = join(import.meta.dirname, '../..');
const bench: Bench = {
  settings: { repetitions: 2, seconds: 0.1, warmupCalls: 100, isQuick: true },
  signal: new AbortController().signal,
  say: () => undefined,
};

describe('the peers beside the product', () => {
  it('measures those that run with the same loads, lets the others leave with a reason, and ends all processes', async () => {
    const contest = await Contest.open([fixture('echo-peer'), fixture('failing-peer'), fixture('no-peer')], bench);
    const pids = contest.entrants.flatMap(({ contender }) => [...contender.processes.keys()]);
    try {
      const warm = await measureWarmCalls(contest, bench);
      const cold = await measureColdNames(contest, bench);

      const targets = ['tcp-container', 'holdfast', 'echo-peer'];
      expect(warm.map(({ target, callers }) => [target, callers])).toEqual(
        [1, 16].flatMap((callers) => targets.map((target) => [target, callers])),
      );
      for (const row of [...warm, ...cold.rows]) expect(row).toMatchObject({ repetitions: 2, payloadBytes: 100 });
      for (const row of warm) expect(row.calls).toBeGreaterThan(0);
      expect(cold.rows.map(({ target, calls }) => [target, calls])).toEqual([
        ['holdfast', 80],
        ['echo-peer', 4],
      ]);
      expect(cold.memory).toEqual([
        { target: 'holdfast', title: 'Holdfast', names: 80, bytesPerName: expect.any(Number) },
        { target: 'echo-peer', title: 'echo-peer', names: 4, bytesPerName: expect.any(Number) },
      ]);
      expect(contest.absences).toEqual([
        { peer: 'no-peer', title: 'no-peer', why: expect.stringMatching(/^Cannot find module/) },
        { peer: 'failing-peer', title: 'failing-peer', why: expect.stringMatching(/it is out of order$/) },
      ]);
    } finally {
      await contest[Symbol.asyncDispose]();
    }
    expect(pids.filter((pid) => existsSync(`/proc/${pid}`))).toEqual([]);
  });

  it('refuses a peer that there is not, and names those that there are', async () => {
    const args = ['--import', 'tsx', 'bench/peers/run.ts', '--only', 'nothing'];
    const failure = promisify(execFile)(process.execPath, args, { cwd });
    await expect(failure).rejects.toThrow(/no peer 'nothing'; expected workerd, moleculer, restate, rivet/);
  });
});

describe('the comparison with the best peer', () => {
  it('takes the lowest latency and the highest rate of all peers, never of the floor', () => {
    const rows = [
      row('tcp-container', { callers: 1, p50: 10 }),
      row('holdfast', { callers: 1, p50: 80 }),
      row('slow', { callers: 1, p50: 400 }),
      row('quick', { callers: 1, p50: 100 }),
      row('tcp-container', { callers: 64, rate: 9_000 }),
      row('holdfast', { callers: 64, rate: 1_000 }),
      row('slow', { callers: 64, rate: 2_000 }),
      row('quick', { callers: 64, rate: 500 }),
    ];
    expect(compareWithPeers(rows)).toMatchObject([
      {
        figure: 'p50 µs of a warm call, 1 caller',
        holdfast: 80,
        peer: 'quick',
        best: 100,
        ratio: 0.8,
        isReached: true,
      },
      { figure: 'warm calls/s, 64 callers', holdfast: 1_000, peer: 'slow', best: 2_000, ratio: 0.5, isReached: false },
    ]);
  });

  it('says nothing where no peer was measured', () => {
    expect(compareWithPeers([row('holdfast', { callers: 1 }), row('tcp-container', { callers: 1 })])).toEqual([]);
  });
});

function fixture(name: string): Peer {
  const module = new URL(`fixtures/${name}.mjs`, import.meta.url).href;
  return { name, title: name, module, warmupCalls: 100, coldNames: 100, isResident: true };
}

function row(target: string, figures: { callers: number; rate?: number; p50?: number }): Row {
  const { callers, rate = 1, p50 = 1 } = figures;
  const spread = (median: number) => ({ median, min: median, max: median });
  return {
    ...{
      scenario: 'peers-warm',
      target,
      title: target,
      callers,
      payloadBytes: 100,
      thinkMs: 0,
      repetitions: 1,
      calls: 1,
    },
    ...{ callsPerSecond: spread(rate), p50Us: spread(p50), p99Us: spread(p50), cpuPer100k: {}, otherCores: spread(0) },
  };
}
