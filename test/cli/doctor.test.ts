import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startNats, startRedis, type TestServer } from '../servers.js';
import { Home } from './holdfast.js';

interface Found {
  readonly of: string;
  readonly which: string;
  readonly level: string;
  readonly says: string;
}

const home = new Home();
let nats: TestServer;
let redis: TestServer;
let careless: TestServer;

beforeAll(async () => {
  const limits = join(home.folder, 'nats.conf');
  writeFileSync(limits, 'max_payload: 65536\n');
  [nats, redis, careless] = await Promise.all([
    startNats({ arguments: ['--config', limits] }),
    startRedis({ arguments: ['--appendonly', 'yes'] }),
    startRedis({ arguments: ['--maxmemory-policy', 'allkeys-lru', '--save', '60 1'] }),
  ]);
});

afterAll(async () => {
  await home[Symbol.asyncDispose]();
  await Promise.all([nats, redis, careless].map((server) => server[Symbol.asyncDispose]()));
});

async function doctor(args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const { exitCode, stdout } = await home.run(['doctor', ...args, '--json'], { env });
  return { exitCode, found: (JSON.parse(stdout) as { cluster: Found[] }).cluster };
}

describe('holdfast doctor', () => {
  it('finds what in a Redis would lose pins, and ends with 7', async () => {
    const { exitCode, found } = await doctor(['--redis', careless.url]);
    expect(exitCode).toBe(7);
    expect(found.filter(({ level }) => level === 'problem').map(({ says }) => says.split(':')[0])).toEqual([
      'maxmemory-policy is allkeys-lru',
      'appendonly is no',
    ]);
    expect(found.map(({ says }) => says)).toContainEqual(expect.stringContaining("save is '60 1'"));
  });

  it('only warns of a Redis that keeps everything and has no replica', async () => {
    const { exitCode, found } = await doctor(['--redis'], { HOLDFAST_REDIS_URL: redis.url });
    expect(exitCode).toBe(0);
    expect(found).toEqual([
      {
        of: 'redis',
        which: `127.0.0.1:${redis.port}`,
        level: 'warning',
        says: expect.stringContaining('has no replica'),
        next: expect.stringContaining('add a replica'),
      },
    ]);
  });

  it('finds a NATS that takes small messages only, and an object store that takes none', async () => {
    const file = join(home.folder, 'a-file');
    writeFileSync(file, '');
    const { exitCode, found } = await doctor(['--nats', nats.url, '--object-store', file]);
    expect(exitCode).toBe(7);
    expect(found).toContainEqual(
      expect.objectContaining({ of: 'nats', level: 'problem', says: expect.stringContaining('max_payload is 65536') }),
    );
    expect(found).toContainEqual(expect.objectContaining({ of: 'objects', level: 'problem' }));
  });

  it('says what does not answer, and shows people what to do, without the password', async () => {
    const { exitCode, stdout } = await home.run([
      ...['doctor', '--redis', 'redis://:pass-word@127.0.0.1:1', '--object-store', join(home.folder, 'objects')],
    ]);
    expect(exitCode).toBe(7);
    expect(stdout).toMatch(/^problem +redis: .*127\.0\.0\.1:1/m);
    expect(stdout).toMatch(/^ok +objects .*: as it should be$/m);
    expect(stdout).not.toContain('pass-word');
  });

  it('refuses to look at what nobody named', async () => {
    const { exitCode, stderr } = await home.run(['doctor', '--nats'], { env: { HOLDFAST_NATS_URL: '' } });
    expect([exitCode, stderr]).toEqual([2, expect.stringContaining('HOLDFAST_NATS_URL')]);
  });
});
