// Needs a cluster with the app: `npx tsx examples/run.ts stateful-demo` brings one.
import { App } from 'holdfast';

const app = await App.lookup<typeof import('./app.js')>('stateful-demo');

const model = await app.Model.named('session-1', 'hi: ');
console.log(await model.infer('world'));

const { closed, exitHook } = await model.close();
console.log(`closed: ${closed}, exit hook: ${exitHook}`);
