// Counts the words of the files of a folder, on the cluster; files are read as calls end, a few ahead of them.
// Needs a cluster with the app: `npx tsx examples/run.ts word-count` brings one.
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { App } from 'holdfast';

const app = await App.lookup<typeof import('./app.js')>('word-count');

const folder = await mkdtemp(join(tmpdir(), 'word-count-'));
const tide = ['the tide comes in', 'the tide goes out', 'and the boats go with the tide'];
for (let n = 0; n < 60; n += 1) await writeFile(join(folder, `${String(n).padStart(2, '0')}.txt`), tide[n % 3] ?? '');

async function* files(): AsyncGenerator<[name: string, text: string]> {
  for (const name of (await readdir(folder)).sort()) yield [name, await readFile(join(folder, name), 'utf8')];
}

const total = new Map<string, number>();
const names: string[] = [];
for await (const { name, words } of app.count.starmap(files())) {
  names.push(name);
  for (const [word, times] of words) total.set(word, (total.get(word) ?? 0) + times);
}
await rm(folder, { recursive: true });

const isSorted = names.every((name, index) => index === 0 || (names[index - 1] ?? '') < name);
console.log(`${names.length} files, in order: ${isSorted}`);
const ranked = [...total].sort(([a, m], [b, n]) => n - m || a.localeCompare(b)).slice(0, 3);
for (const [word, times] of ranked) console.log(`${word}: ${times}`);
