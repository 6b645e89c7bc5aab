import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
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

  it('finds nothing in a Redis with a replica and the settings of the guide, and what one of them misses', async () => {
    const safe = ['--appendonly', 'yes', '--save', ''];
    await using master = await startRedis({ arguments: safe });
    await using _replica = await startRedis({ arguments: [...safe, '--replicaof', '127.0.0.1', String(master.port)] });
    const set = async (name: string, value: string): Promise<void> => {
      const client = new Redis(master.url);
      await client.config('SET', name, value);
      await client.quit();
    };
    const says = async () => (await doctor(['--redis', master.url])).found.map((each) => each.says.split(':')[0]);
    await expect.poll(says, { timeout: 20_000 }).toEqual(['min-replicas-to-write is 0']);
    await set('min-replicas-to-write', '1');
    expect(await says()).toEqual(['min-replicas-max-lag is 10']);
    await set('min-replicas-max-lag', '2');
    expect(await says()).toEqual(['as it should be']);
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

  it('looks at the workers of a live cluster: none, one that is well, one that drains, one that stands still', async () => {
    const objects = join(home.folder, 'objects');
    const env = { HOLDFAST_NATS_URL: nats.url, HOLDFAST_REDIS_URL: redis.url, HOLDFAST_OBJECT_STORE: objects };
    await using router = home.start(['router', '--listen', '127.0.0.1:0'], env);
    const { address } = JSON.parse(await router.line(/"router\.ready"/)) as { address: string };
    const { stdout } = await home.run(['token', 'create', '--role', 'deploy', '--redis'], { env });
    const to = { HOLDFAST_ENDPOINT: address, HOLDFAST_TOKEN: stdout.trim() };
    const workers = () => doctor(['--workers'], to);
    expect(await workers()).toMatchObject({
      exitCode: 7,
      found: [{ which: address, level: 'problem', says: expect.stringContaining('no worker') }],
    });

    const start = ['worker', '--isolation', 'process', '--listen', '127.0.0.1:0', '--id'];
    await using well = home.start([...start, 'well'], env);
    await using still = home.start([...start, 'still'], env);
    await Promise.all([well, still].map((worker) => worker.line(/"worker\.ready"/)));
    const fine = (which: string) => ({ of: 'workers', which, level: 'ok', says: 'as it should be' });
    await expect
      .poll(workers, { timeout: 20_000 })
      .toMatchObject({ exitCode: 0, found: [fine('still'), fine('well')] });

    still.signal('SIGSTOP');
    const isOld = expect.stringMatching(/^renewed its lease \d+ ms ago/);
    await expect.poll(workers, { timeout: 20_000 }).toMatchObject({
      exitCode: 7,
      found: [{ which: 'still', level: 'problem', says: isOld }, fine('well')],
    });
    still.signal('SIGCONT');
    await home.out('drain', 'well', '--endpoint', address, '--token', to.HOLDFAST_TOKEN);
    await expect
      .poll(async () => (await workers()).found, { timeout: 20_000 })
      .toMatchObject([fine('still'), { which: 'well', level: 'warning', says: 'is draining' }]);
  });

  it('refuses to look at what nobody named', async () => {
    const { exitCode, stderr } = await home.run(['doctor', '--nats'], { env: { HOLDFAST_NATS_URL: '' } });
    expect([exitCode, stderr]).toEqual([2, expect.stringContaining('HOLDFAST_NATS_URL')]);
  });
});
