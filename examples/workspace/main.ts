// Needs a cluster with the app: `npx tsx examples/run.ts workspace` brings one.
import { App, type SandboxSession, Volume } from 'holdfast';

const app = await App.lookup<typeof import('./app.js')>('workspace-demo');
const volume = await Volume.get('shared-data', { mintIfMissing: true });

await using one = await app.box.create();
await using two = await app.box.create();
const say = async (session: SandboxSession, command: string): Promise<string> =>
  (await session.exec(command, { shell: true, check: true })).stdout.trim();

// Inside there are no network and no credentials.
await one.writeText('/mnt/shared/notebook.ipynb', '{}');
const commitId = await say(one, 'holdfast volume commit /mnt/shared -m "first notebook"');
console.log(`two sees before its reload: ${await say(two, 'ls /mnt/shared | wc -l')} files`);
console.log(`two stands on that commit: ${(await say(two, 'holdfast volume reload /mnt/shared')) === commitId}`);
console.log(`two sees then: ${await say(two, 'ls /mnt/shared')}`);
// A class does it by `Volume.fromMount`.
const writer = await app.Writer.new();
console.log(`a class committed, and sees: ${(await writer.write('outline.md', '#')).join(', ')}`);
await writer.close();

// Different paths merge, whoever commits first.
await one.writeText('/mnt/shared/one.txt', '1');
await two.writeText('/mnt/shared/two.txt', '2');
await say(two, 'holdfast volume commit /mnt/shared -m two');
await say(one, 'holdfast volume commit /mnt/shared -m one');
console.log(`the volume has: ${(await volume.listdir()).map(({ path }) => path).join(', ')}`);

// A client needs no container; every change is one commit.
await volume.writeFile('notebook.ipynb', '{ "cells": [] }');
const [newest] = await volume.history({ limit: 1 });
for (const { path, change } of await volume.diff(commitId, newest?.commitId)) console.log(`${change}: ${path}`);
await volume.restore(commitId);
for await (const data of volume.readFile('notebook.ipynb')) console.log(`restored: ${Buffer.from(data).toString()}`);
