// Counts the words of one data set in 20 sandboxes at once, and adds up what they found.
// Needs a cluster with the app: `npx tsx examples/run.ts fan-out` brings one.
import { App } from 'holdfast';

const sandboxes = 20;
const words = ['anchor', 'bollard', 'cleat', 'dock'];
// Line n has its word n times modulo 7, so that the counts differ.
const lines = Array.from({ length: 10_000 }, (_, n) => `${words[n % words.length]} `.repeat(n % 7).trimEnd());

const app = await App.lookup<typeof import('./app.js')>('fan-out');

/** How often each word is in a part of the lines. */
async function count(part: readonly string[]): Promise<Map<string, number>> {
  await using session = await app.mapper.create({ cwd: '/job' });
  await session.writeText('part.txt', part.join('\n'));
  const pipeline = "tr ' ' '\\n' < part.txt | grep . | sort | uniq -c";
  const { stdout } = await session.exec(pipeline, { shell: true, check: true });
  const pairs = stdout
    .trim()
    .split('\n')
    .map((line) => line.trim().split(' '));
  return new Map(pairs.map(([times, word]) => [word ?? '', Number(times)]));
}

const size = Math.ceil(lines.length / sandboxes);
const parts = Array.from({ length: sandboxes }, (_, index) => lines.slice(index * size, (index + 1) * size));
const counts = await Promise.all(parts.map(count));

console.log(`${sandboxes} sandboxes counted the words of ${lines.length} lines`);
for (const word of words) {
  console.log(`${word}: ${counts.reduce((sum, each) => sum + (each.get(word) ?? 0), 0)}`);
}
