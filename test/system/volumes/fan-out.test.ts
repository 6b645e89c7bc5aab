import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { App, Client, Volume } from 'holdfast';
import { pack } from 'tar-stream';
import { expect } from 'vitest';
import { Home } from '../../cli/holdfast.js';
import { isolatedTest } from '../../isolated-test.js';
import { S3FaultProxy } from '../../s3/fault-proxy.js';
import { startS3 } from '../../servers.js';

const module = fileURLToPath(new URL('../../fixtures/local-volume-app.ts', import.meta.url));
const sandboxes = 20;
const partBytes = 8_388_608;
const parts = 4;

async function dataSet(): Promise<Buffer> {
  const tar = pack();
  for (let part = 0; part < parts; part += 1) tar.entry({ name: `part-${part}` }, randomBytes(partBytes));
  tar.finalize();
  const pieces: Buffer[] = [];
  for await (const piece of tar) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}

/** Bytes of the files in the folders of that name, anywhere below one. */
function bytesIn(folder: string, name: string): number {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const inside = files.filter(({ parentPath }) => `${parentPath}/`.includes(`/${name}/`));
  return inside.reduce((sum, { parentPath, name: file }) => sum + statSync(join(parentPath, file)).size, 0);
}

isolatedTest('a data set comes to a host once for twenty sandboxes that change it, each for itself', async () => {
  await using home = new Home();
  await using s3 = await startS3();
  await using proxy = await S3FaultProxy.start(s3.url);
  const place = `s3://${s3.bucket}/hf?endpoint=${proxy.endpoint}`;
  const keys = { AWS_ACCESS_KEY_ID: 'AKIDTEST', AWS_SECRET_ACCESS_KEY: 'test' };
  await using dev = home.start(['dev', module, '--listen', '127.0.0.1:0', '--object-store', place], keys);
  await dev.line(/Watching/);
  const client = new Client(JSON.parse(readFileSync(join(home.folder, 'holdfast/dev.json'), 'utf8')));
  const set = await Volume.fromArchive('set', await dataSet(), { client });
  const app = await App.lookup<typeof import('../../fixtures/local-volume-app.js')>('local-volumes-test', { client });
  const fetches = (): string[] => proxy.seen.filter((request) => /^GET \S*\/volumes\//.test(request));
  const before = fetches().length;

  const sessions = await Promise.all(
    Array.from({ length: sandboxes }, () => app.plain.create({ volumes: [set.mountedAt('/set')] })),
  );
  const run = (script: (i: number) => string): Promise<string[]> =>
    Promise.all(
      sessions.map(async (session, i) => (await session.exec(script(i), { shell: true, check: true })).stdout),
    );
  const read = await run(() => 'cat /set/* | cksum');
  expect(new Set(read).size).toBe(1);
  expect(read[0]).toContain(` ${parts * partBytes}\n`);
  // Chunks, lists and directories: nothing was asked for twice.
  const fetched = fetches().slice(before);
  expect(fetched.length).toBeGreaterThanOrEqual(parts);
  expect(new Set(fetched).size).toBe(fetched.length);
  // One copy for all, and none of anybody's own.
  expect(bytesIn(join(home.folder, 'holdfast'), 'cache')).toBe(parts * partBytes);
  expect(bytesIn(join(home.folder, 'holdfast'), 'local')).toBe(0);

  await run(
    (i) => `echo sandbox ${i} | dd of=/set/part-1 conv=notrunc status=none; echo ${i} > /set/own; rm /set/part-0`,
  );
  const seen = await run(() => 'ls /set | tr "\\n" " "; head -n 1 /set/part-1; cat /set/own');
  expect(seen).toEqual(sessions.map((_, i) => `own part-1 part-2 part-3 sandbox ${i}\n${i}\n`));
  for (const session of sessions) await session.close();
  expect(fetches().slice(before)).toEqual(fetched);
  expect((await set.listdir()).map(({ path }) => path)).toEqual(['part-0', 'part-1', 'part-2', 'part-3']);
  await client.close();
});
