import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

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

describe('a quick run of the benchmarks', () => {
  it('prints a table of at most 100 columns and writes what it measured, and where, as JSON', async () => {
    const file = join(folder, 'bench.json');
    const args = [...bench, '--only', 'out-of-step,cold-names', '--json', file];
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd });
    const found = JSON.parse(await readFile(file, 'utf8')) as { rows: { target: string; scenario: string }[] };

    expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(100);
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
    const servers = { router: expect.any(Number), nats: expect.any(Number), redis: expect.any(Number) };
    expect(found.rows).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ scenario: 'out-of-step', target: 'tcp-container', callers: 64, thinkMs: 1 }),
        expect.objectContaining({ scenario: 'out-of-step', ...product }),
        expect.objectContaining({
          scenario: 'cold-names',
          ...product,
          cpuPer100k: expect.objectContaining({ ...cpuPer100k, ...servers }),
        }),
      ]),
    );
  });

  it('refuses a scenario that there is not, and names those that there are', async () => {
    const failure = promisify(execFile)(process.execPath, [...bench, '--only', 'nothing'], { cwd });
    await expect(failure).rejects.toThrow(/no scenario 'nothing'; expected warm, out-of-step/);
  });

  it('ends in order when it is interrupted', async () => {
    const child = spawn(process.execPath, [...bench, '--only', 'generator', '--seconds', '60'], { cwd });
    await once(child.stdout, 'data');
    child.kill('SIGINT');
    expect(await once(child, 'exit')).toEqual([130, null]);
  });
});
