import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { scenarios } from '../../bench/scenarios/scenarios.js';

const bench = ['--import', 'tsx', 'bench/run.ts', '--quick'];
const cwd = join(import.meta.dirname, '../..');
const spread = { median: expect.any(Number), min: expect.any(Number), max: expect.any(Number) };
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-bench-'));
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** Clusters of processes that compile themselves: a loaded machine takes its time. */
describe('a quick run of the benchmarks', { timeout: 240_000 }, () => {
  it('prints tables of at most 110 columns and writes what it measured, and where, as JSON and as a report', async () => {
    const file = join(folder, 'bench.json');
    const args = [...bench, '--only', 'first-call', '--json', file, '--report', folder];
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd });
    const found = JSON.parse(await readFile(file, 'utf8')) as { rows: { target: string; scenario: string }[] };

    expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(110);
    expect(found).toMatchObject({
      startedAt: expect.stringMatching(/^\d{4}-.*Z$/),
      machine: {
        cores: expect.any(Number),
        loadBefore: expect.any(Number),
        versions: { node: process.versions.node, '@grpc/grpc-js': expect.any(String) },
      },
      settings: { isQuick: true, repetitions: 1 },
    });
    for (const row of found.rows) {
      expect(row).toMatchObject({ repetitions: 1, callsPerSecond: spread, p50Us: spread, p99Us: spread });
    }
    const product = { target: 'holdfast', calls: expect.any(Number), payloadBytes: 100 };
    const cpuPer100k = { client: expect.any(Number), worker: expect.any(Number), container: expect.any(Number) };
    const servers = { nats: expect.any(Number), redis: expect.any(Number) };
    expect(found.rows).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ scenario: 'first-call', target: 'tcp-container', callers: 1 }),
        expect.objectContaining({
          ...{ scenario: 'first-call', target: 'path', callers: 1 },
          cpuPer100k: expect.objectContaining({ ...cpuPer100k, ...servers }),
        }),
        expect.objectContaining({
          scenario: 'first-call',
          ...product,
          cpuPer100k: expect.objectContaining({ ...cpuPer100k, ...servers, router: expect.any(Number) }),
        }),
      ]),
    );
    expect(found).toMatchObject({ verdicts: expect.arrayContaining([expect.objectContaining({ result: 'open' })]) });
    const document = await readFile(join(folder, 'performance.md'), 'utf8');
    expect(document).toContain('its figures mean nothing');
    expect(document).toContain('| 1 | Holdfast |');
    expect(document.match(/Not measured in this run/g)).toHaveLength(scenarios.length - 1);
    expect(await readFile(join(folder, 'performance.svg'), 'utf8')).toContain('</svg>');
  });

  it('reports what was kept without measuring anything', async () => {
    const file = join(folder, 'kept.json');
    const machine = { processor: 'x', cores: 2, memoryGiB: 1, system: 'linux', versions: {}, loadBefore: 0 };
    const one = { median: 1, min: 1, max: 1 };
    const row = { kind: 'calls', scenario: 'warm', target: 'holdfast', title: 'kept', floor: null, callers: 1 };
    const figures = { payloadBytes: 100, thinkMs: 0, repetitions: 5, calls: 9, cpuPer100k: {}, otherCores: one };
    const rows = [{ ...row, ...figures, callsPerSecond: one, p50Us: one, p99Us: one }];
    await writeFile(file, JSON.stringify({ startedAt: '2026', machine, settings: { seconds: 1 }, rows }));
    const args = [...bench, '--from', file, '--report', folder];
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd });
    expect(stdout).toContain('kept');
    expect(await readFile(join(folder, 'performance.md'), 'utf8')).toContain('| 1 | kept |');
  });

  it('refuses a scenario that there is not, and names those that there are', async () => {
    const failure = promisify(execFile)(process.execPath, [...bench, '--only', 'nothing'], { cwd });
    await expect(failure).rejects.toThrow(/no scenario 'nothing'; expected warm, idle-cores/);
  });

  it('ends in order when it is interrupted', async () => {
    const child = spawn(process.execPath, [...bench, '--only', 'generator', '--seconds', '60'], { cwd });
    await once(child.stdout, 'data');
    child.kill('SIGINT');
    expect(await once(child, 'exit')).toEqual([130, null]);
  });
});
