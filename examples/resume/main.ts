// Run it twice with the same file: the second process goes on with the basket that the first one left in memory.
// Needs a cluster with the app: `npx tsx examples/run.ts resume` brings one, and runs it twice.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { App } from 'holdfast';

const file = process.argv[2] ?? 'basket.handle.json';
const app = await App.lookup<typeof import('./app.js')>('resume');

if (!existsSync(file)) {
  const basket = await app.Basket.new();
  console.log(`process 1 put in: ${(await basket.add('bread')).join(', ')}`);
  // Plain text that names this one instance; signed, so that nobody can make up another.
  writeFileSync(file, basket.handleJson);
} else {
  const basket = await app.Basket.attach(readFileSync(file, 'utf8'));
  console.log(`process 2 has now: ${(await basket.add('cheese')).join(', ')}`);
  await basket.close();
  const gone = await basket.add('wine').catch((e: Error & { code?: string }) => e.code);
  console.log(`after the close, the handle answers: ${gone}`);
}
