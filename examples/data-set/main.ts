// Needs a cluster with the app: `npx tsx examples/run.ts data-set` brings one.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { App, Volume } from 'holdfast';

const app = await App.lookup<typeof import('./app.js')>('data-set-demo');

const folder = mkdtempSync(join(tmpdir(), 'holdfast-data-set-'));
writeFileSync(join(folder, 'rows.csv'), Array.from({ length: 1_000 }, (_, i) => `${i},${i * i}\n`).join(''));
execFileSync('tar', ['czf', 'training.tar.gz', 'rows.csv'], { cwd: folder });

// Uploaded once, however many sessions have it; each host fetches what is read of it once.
const set = await Volume.fromArchive('training-set', join(folder, 'training.tar.gz'));
rmSync(folder, { recursive: true });
const sessions = await Promise.all(Array.from({ length: 4 }, () => app.worker.create({ volumes: { '/data': set } })));
try {
  await Promise.all(sessions.map((session, i) => session.exec(`echo ${i} > /data/mine`, { shell: true, check: true })));
  // Each sees its own copy: what one writes the others do not see.
  for (const [i, session] of sessions.entries()) {
    const { stdout } = await session.exec('wc -l < /data/rows.csv; cat /data/mine', { shell: true, check: true });
    const [rows, mine] = stdout.trim().split('\n');
    console.log(`sandbox ${i}: ${rows} rows, wrote ${mine}`);
  }
} finally {
  for (const session of sessions) await session.close();
}
console.log(`the volume has: ${(await set.listdir()).map(({ path }) => path).join(', ')}`);
await set.delete();
