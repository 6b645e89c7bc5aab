// Needs a cluster with the app, and a worker with such a GPU, or one that says so:
// `holdfast worker --label gpu=RTX_4070 --label gpuCount=1 --label vramGb=12 --label geolocation=US --label diskGb=500`.
// `npx tsx examples/run.ts fast-cache` brings one that says so.
import { App, Client, Volume } from 'holdfast';

const app = await App.lookup<typeof import('./app.js')>('fast-cache-demo');

for (const run of ['first', 'second']) {
  const { gpu, kernels } = await app.warmCache();
  console.log(`${run} run: GPU ${gpu}, found in /cache: ${kernels}`);
}

const { backend } = await Volume.get('fast-cache');
await using client = new Client();
const fitting = (await client.workers()).filter(({ offer }) => offer['gpu'] === 'RTX_4070');
console.log(`fast-cache is ${backend}, on one of ${fitting.length} workers with that GPU`);
