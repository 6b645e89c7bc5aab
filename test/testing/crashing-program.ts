// Starts a cluster, says what runs, and waits to be killed.
import { App } from 'holdfast';
import { startCluster } from 'holdfast/testing';
import { descendantsOf } from '../../src/cli/testing/process-tree.js';

const mode = process.argv[2] === 'real' ? 'real' : 'embedded';
const cluster = await startCluster({ mode });
await cluster.deploy(new URL('./counter-app.ts', import.meta.url));
const app = await App.lookup<typeof import('./counter-app.js')>('counter', cluster);
await (await app.Counter.named('a')).add();
if (process.argv[3] === 'paused') cluster.workers[0]?.pause();
console.log(JSON.stringify(descendantsOf(process.pid)));
