// Needs a cluster with the app: `npx tsx examples/run.ts volumes` brings one.
import { App, Secret, Volume } from 'holdfast';

const app = await App.lookup<typeof import('./app.js')>('volume-demo');

// A value goes in, and only into containers that name it; what can be listed are names.
const created = await Secret.create('OPENAI_API_KEY', 'an example');
await Secret.set('HF_TOKEN', 'another example');
console.log(`secrets: ${(await Secret.list()).map(({ name }) => name).join(', ')}`);
console.log(await app.whoami());
await created.delete();

// A function writes, a session reads when that is committed, wherever it runs.
const models = await Volume.get('model-cache', { mintIfMissing: true });
console.log(`the function wrote: ${await app.writeMarker()}`);
while ((await models.listdir()).length === 0) await new Promise((resolve) => setTimeout(resolve, 200));
const reader = await app.portable.create();
console.log(`portable: ${(await reader.readText('/cache/marker.txt')).trim()}`);
await reader.close();

const first = await app.local.create();
await first.exec('echo warm > /cache/kernels', { shell: true, check: true });
const { workerId } = await first.inspect();
await first.close();
const second = await app.local.create();
console.log(`local: ${(await second.readText('/cache/kernels')).trim()}`);
console.log(`on the same host: ${(await second.inspect()).workerId === workerId}`);
await second.close();

// For one job only: gone at the end of the block, or half a minute after this program has died.
let name: string;
{
  await using scratch = await Volume.ephemeral({ prefix: 'training-scratch', mountPath: '/scratch' });
  ({ name } = scratch);
  const job = await app.shell.create({ volumes: [scratch] });
  await job.exec('echo foo > /scratch/a.txt', { shell: true, check: true });
  await job.close();
  for await (const data of scratch.readFile('a.txt')) console.log(`scratch: ${Buffer.from(data).toString().trim()}`);
}
// For whoever comes back: a volume by a name that is made up at run time.
const sessionId = 'example-session-id-123abc';
const kept = Volume.fromName(`vol-${sessionId}`, { createIfMissing: true, mountPath: '/cache' });
for (const text of ['foo', 'bar']) {
  const session = await app.shell.create({ volumes: [kept] });
  await session.exec(`echo ${text} >> /cache/a.txt`, { shell: true, check: true });
  await session.close();
}
for await (const data of kept.readFile('a.txt'))
  console.log(`kept: ${Buffer.from(data).toString().split('\n').join(' ')}`);
console.log(`scratch is left: ${(await Volume.list()).some((volume) => volume.name === name)}`);
