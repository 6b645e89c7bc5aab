import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { hostOffer } from '../../src/cli/parts/host-offer.js';

const pathBefore = process.env['PATH'];
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hf-offer-'));
  process.env['PATH'] = `${folder}${delimiter}${pathBefore}`;
});
afterEach(() => {
  process.env['PATH'] = pathBefore;
  rmSync(folder, { recursive: true });
});

/** A program of that name, first on the PATH. */
function nvidiaSmi(script: string): void {
  const program = join(folder, 'nvidia-smi');
  writeFileSync(program, `#!/bin/sh\n${script}\n`);
  chmodSync(program, 0o755);
}

describe('what a host can tell of itself', () => {
  it('is its cores, memory and disk', async () => {
    nvidiaSmi('exit 9');
    const offer = await hostOffer({});
    expect(offer).toMatchObject({
      cpuCores: cpus().length,
      cpuRamGb: expect.any(Number),
      diskGb: expect.any(Number),
    });
    for (const field of ['cpuRamGb', 'diskGb']) expect(offer[field]).toBeGreaterThan(0);
    expect(offer).not.toHaveProperty('gpu');
  });

  it.each<[string, string, Record<string, unknown>]>([
    ['one GPU', 'echo "NVIDIA L4, 23034"', { gpu: 'NVIDIA L4', gpuCount: 1, vramGb: 22.49 }],
    [
      'two of a model',
      'echo "NVIDIA H100, 81559"; echo "NVIDIA H100, 81559"',
      { gpu: 'NVIDIA H100', gpuCount: 2, vramGb: 79.65 },
    ],
    [
      'two models',
      'echo "NVIDIA L4, 23034"; echo "NVIDIA H100, 81559"',
      { gpu: ['NVIDIA L4', 'NVIDIA H100'], gpuCount: 2, vramGb: 22.49 },
    ],
  ])('and of its GPUs what nvidia-smi says: %s', async (...[, script, gpus]) => {
    nvidiaSmi(script);
    expect(await hostOffer({})).toMatchObject(gpus);
  });

  it.each(['exit 1', 'echo "No devices were found"', 'true', 'echo "a, [N/A]"'])(
    'and nothing of them where it answers with: %s',
    async (script) => {
      nvidiaSmi(script);
      const offer = await hostOffer({});
      for (const field of ['gpu', 'gpuCount', 'vramGb']) expect(offer).not.toHaveProperty(field);
    },
  );

  it('and what it was told, which wins', async () => {
    nvidiaSmi('echo "NVIDIA L4, 23034"');
    const labels = { gpuCount: '4', costPerHourUsd: '0.5', secureCloud: 'true', geolocation: 'DE', cpuGhz: '3.5' };
    expect(await hostOffer(labels)).toMatchObject({
      ...{ gpu: 'NVIDIA L4', gpuCount: 4, costPerHourUsd: 0.5, secureCloud: true, geolocation: 'DE', cpuGhz: 3.5 },
    });
  });
});
