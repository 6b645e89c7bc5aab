// Many callers ask for the vector of one text each; the service computes them in batches.
// Needs a cluster with the app: `npx tsx examples/run.ts embeddings` brings one.
import { App } from 'holdfast';

const documents = [
  'A pilot boards the ship at the anchorage',
  'Bread and cheese for the crew',
  'The ship waits at anchor for its pilot',
  'The baker sells fresh bread',
  'Cheese from the market',
  'Fog over the harbour',
  'The crew sleeps',
  'A lighthouse in the fog',
];

const app = await App.lookup<typeof import('./app.js')>('embeddings');
const embedder = await app.Embedder.bind();

const vectors = await Promise.all(documents.map((text) => embedder.embed(text)));
const wanted = await embedder.embed('which ship waits for a pilot');

const similarity = (vector: readonly number[]): number =>
  vector.reduce((sum, value, index) => sum + value * (wanted[index] ?? 0), 0);
const ranked = documents
  .map((text, index) => ({ text, score: similarity(vectors[index] ?? []) }))
  .sort((a, b) => b.score - a.score);

console.log(`${documents.length + 1} texts, ${await embedder.batches()} batches`);
for (const { text, score } of ranked.slice(0, 2)) console.log(`${score.toFixed(2)} ${text}`);
await embedder.close();
