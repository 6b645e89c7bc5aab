// Needs a cluster with the app, on it a worker with such a GPU, or one that says so as in fast-cache; and to build the image
// mmdebstrap, a mirror of Debian and an index of Python packages. `npx tsx examples/run.ts fast-cache-numpy` brings the cluster.
import { App } from 'holdfast';

const app = await App.lookup<typeof import('./app.js')>('fast-cache-numpy');

for (const run of ['first', 'second']) {
  const { gpu, table } = await app.warmCache();
  console.log(`${run} run: GPU ${gpu}, ${table}`);
}
