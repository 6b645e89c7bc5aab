// Works on the files of a bucket that is there already; no program in the sandbox sees its keys.
// Needs a bucket, named in app.ts, and its keys in BUCKET_ACCESS_KEY and BUCKET_SECRET_KEY: then `npx tsx examples/run.ts cloud-bucket`.
import { App, Secret } from 'holdfast';

for (const name of ['BUCKET_ACCESS_KEY', 'BUCKET_SECRET_KEY']) await Secret.set(name, process.env[name] ?? '');

const app = await App.lookup<typeof import('./app.js')>('cloud-bucket');
await using session = await app.shell.create();
const run = async (command: string): Promise<void> =>
  console.log(`$ ${command}\n${(await session.exec(command, { shell: true })).stdout.trimEnd()}`);

await run('printf "milk,2\\nbread,3\\n" > /bucket/prices.csv && ls /bucket');
await run('cut -d, -f2 /bucket/prices.csv | sort | tail -1');
await run('env | grep -c BUCKET');
console.log(`a function sees: ${(await app.listBucket()).join(', ')}`);
