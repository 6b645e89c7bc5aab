// A counter that loses nothing: what it answered is stored, whatever happens to its process or its worker afterwards.
// Needs a cluster with the app: `npx tsx examples/run.ts counter` brings one.
import { App, isHoldfastError } from 'holdfast';

const app = await App.lookup<typeof import('./app.js')>('counter');
const counter = await app.Counter.named('visits');

console.log(`counted: ${await counter.add(1)}, ${await counter.add(1)}, ${await counter.add(1)}`);
const outcome = await counter.crash().catch((e: unknown) => (isHoldfastError(e) ? e.code : String(e)));
console.log(`its process was killed: ${outcome}`);
console.log(`and counts on: ${await counter.add(1)}`);

await counter.close();
const again = await app.Counter.named('visits');
console.log(`closed, and made again: ${await again.add(1)}`);
await again.close();
