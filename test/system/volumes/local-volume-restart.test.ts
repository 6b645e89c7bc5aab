import { App, Volume } from 'holdfast';
import { startCluster } from 'holdfast/testing';
import { expect } from 'vitest';
import { isolatedTest } from '../../isolated-test.js';

isolatedTest('a volume of a host has its files when the worker was killed, or ended, and is there again', async () => {
  await using cluster = await startCluster({ mode: 'real', isolation: 'bubblewrap', workers: [{ id: 'a' }] });
  await cluster.deploy(new URL('../../fixtures/local-volume-app.ts', import.meta.url));
  const choice = { client: cluster.client };
  const app = await App.lookup<typeof import('../../fixtures/local-volume-app.js')>('local-volumes-test', choice);
  const kept = Volume.vastLocal('kept', { sizeGb: 0.02, mountPath: '/fast' });
  const notes = await app.Notes.named('one');
  let written = '';
  for (const signal of ['SIGKILL', 'SIGTERM', 'SIGKILL'] as const) {
    // One that is open, and mounted, when its worker goes.
    const session = await app.plain.create({ volumes: [kept] });
    expect(await session.readText('/fast/log').catch(() => '')).toBe(written);
    await session.exec(`echo ${signal} >> /fast/log; sync /fast/log`, { shell: true, check: true });
    written += `${signal}\n`;
    expect(await notes.add(signal)).toContain(signal);
    await cluster.workers[0]?.kill(signal);
    await cluster.addWorker({ id: 'a' });
  }
  const last = await app.plain.create({ volumes: [kept] });
  expect(await last.readText('/fast/log')).toBe(written);
  expect((await last.inspect()).workerId).toBe('a');
  // The class was lost with its worker, twice, and is made again where its volume is.
  expect(await notes.add('.')).toContain('SIGTERM');
  // Above its size it is full, as before: it is the same disk.
  const full = await last.exec('dd if=/dev/zero of=/fast/big bs=1M count=100', { shell: true });
  expect(full.stderr).toContain('No space left');
  await last.close();
});
