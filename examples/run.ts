// Runs an example: `npx tsx examples/run.ts stateful-demo`. Against the cluster of HOLDFAST_ENDPOINT and HOLDFAST_TOKEN where
// they are set; else against one of its own in this process, which is gone afterwards.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startCluster } from 'holdfast/testing';

const folder = import.meta.dirname;
const names = readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
  existsSync(join(folder, entry.name, 'main.ts')) ? entry.name : [],
);

/** Their classes or functions have volumes, which they see behind walls only. */
const withVolumes = ['cloud-bucket', 'fast-cache', 'fast-cache-numpy', 'volumes', 'workspace'];

/** What a worker says of its host goes before what can be seen of it: nobody looks for the GPU. */
const gpuOffer = { gpu: 'RTX_4070', gpuCount: 1, vramGb: 12, geolocation: 'US', diskGb: 500 };
const workersOf = (name: string) =>
  name.startsWith('fast-cache') ? [{ id: 'plain' }, { id: 'gpu', offer: gpuOffer }] : 1;

async function runExample(name: string): Promise<void> {
  const isolation = withVolumes.includes(name) ? 'bubblewrap' : 'process';
  const workers = workersOf(name);
  await using cluster = process.env['HOLDFAST_ENDPOINT']
    ? null
    : await startCluster({ mode: 'embedded', isolation, workers });
  // What the client of every process reads that names no other cluster, here and in the example's own processes.
  if (cluster) Object.assign(process.env, { HOLDFAST_ENDPOINT: cluster.endpoint, HOLDFAST_TOKEN: cluster.token });

  const { app } = await import(join(folder, name, 'app.ts'));
  await app.deploy();

  const scratch = mkdtempSync(join(tmpdir(), `holdfast-${name}-`));
  try {
    const times = name === 'resume' ? 2 : 1;
    for (let time = 1; time <= times; time++)
      await runNode(join(folder, name, 'main.ts'), join(scratch, 'handle.json'));
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

async function runNode(...args: string[]): Promise<void> {
  const child = spawn(process.execPath, ['--import', 'tsx', ...args], { stdio: 'inherit' });
  const [code, signal] = await once(child, 'exit');
  if (code === 0) return;
  // It has said why.
  console.error(`${args[0]} ended with ${signal ?? `exit code ${code}`}`);
  process.exitCode = 1;
}

const [name = ''] = process.argv.slice(2);
if (names.includes(name)) {
  await runExample(name);
} else {
  console.error(`usage: npx tsx examples/run.ts ${names.join('|')}`);
  process.exitCode = 64;
}
