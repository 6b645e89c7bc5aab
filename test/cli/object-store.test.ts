import { randomBytes } from 'node:crypto';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startNats, startRedis, startS3, type TestServer } from '../servers.js';
import { Home, type Running } from './holdfast.js';

const module = fileURLToPath(new URL('./fixture-app.ts', import.meta.url));
const local = ['--listen', '127.0.0.1:0'];
const home = new Home();
const keys = { AWS_ACCESS_KEY_ID: 'AKIDTEST', AWS_SECRET_ACCESS_KEY: 'secret/test+key' };
let nats: TestServer;
let redis: TestServer;
let s3: TestServer & { readonly bucket: string };
let env: NodeJS.ProcessEnv;

const place = (prefix: string, bucket = s3.bucket) => `s3://${bucket}/${prefix}?endpoint=${s3.url}`;
const keysIn = async (): Promise<string[]> => {
  const listing = await (await fetch(`${s3.url}/${s3.bucket}?list-type=2`)).text();
  return [...listing.matchAll(/<Key>([^<]+)<\/Key>/g)].map((match) => match[1] ?? '');
};

beforeAll(async () => {
  [nats, redis, s3] = await Promise.all([startNats(), startRedis(), startS3()]);
  env = { ...keys, HOLDFAST_NATS_URL: nats.url, HOLDFAST_REDIS_URL: redis.url };
});

afterAll(async () => {
  await home[Symbol.asyncDispose]();
  await Promise.all([nats, redis, s3].map((server) => server?.[Symbol.asyncDispose]()));
});

describe('a bucket as the object store', () => {
  it('of routers and workers has their bundles, large arguments and volumes', async () => {
    await using router = home.start(['router', ...local, '--object-store', place('real')], env);
    await using worker = home.start(['worker', '--isolation', 'process', ...local, '--id', 'w'], {
      ...env,
      HOLDFAST_OBJECT_STORE: place('real'),
    });
    const { address } = JSON.parse(await router.line(/router\.ready/)) as { address: string };
    await worker.line(/worker\.ready/);
    const { stdout } = await home.run(['token', 'create', '--role', 'deploy', '--redis'], { env });
    const to = ['--endpoint', address, '--token', stdout.trim()];
    await home.json('deploy', module, ...to);
    const greeting = 'x'.repeat(100_000);
    const call = ['call', 'shop/Greeter', 'g', 'greet', '["Ada"]', '--init', JSON.stringify([greeting]), ...to];
    expect(await home.out(...call)).toBe(`${greeting}, Ada!`);
    expect(await keysIn()).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^real\/bundles\/[0-9a-f]{64}$/),
        expect.stringMatching(/^real\/args\/[0-9a-f]{64}$/),
      ]),
    );
    const files = join(home.folder, 'files');
    mkdirSync(files);
    writeFileSync(join(files, 'big'), randomBytes(9_000_000));
    await home.out('volume', 'put', `${files}/`, 'data', '--create', ...to);
    await home.out('volume', 'get', 'data', join(home.folder, 'back'), ...to);
    expect(readFileSync(join(home.folder, 'back/big')).equals(readFileSync(join(files, 'big')))).toBe(true);
    expect(await keysIn()).toEqual(
      expect.arrayContaining([expect.stringMatching(/^real\/volumes\/default\/[0-9a-f]{2}\/[0-9a-f]{64}$/)]),
    );
    expect(router.output + worker.output).not.toContain(keys.AWS_SECRET_ACCESS_KEY);
    for (const server of [worker, router]) {
      server.signal('SIGTERM');
      expect(await server.ended).toBe(0);
    }
  });

  it('of `holdfast dev` has its bundles', async () => {
    const file = join(home.folder, 'app.ts');
    cpSync(module, file);
    await using dev: Running = home.start(['dev', file, ...local, '--object-store', place('dev')], keys);
    await dev.line(/Watching/);
    expect(await home.out('call', 'shop/Counter', 'one', 'add', '[2]')).toBe('2');
    expect(await keysIn()).toEqual(expect.arrayContaining([expect.stringMatching(/^dev\/bundles\/[0-9a-f]{64}$/)]));
  });

  it('that is not there, does not answer, has no keys or is no place at all ends the start in one line', async () => {
    const start = (objectStore: string, by: NodeJS.ProcessEnv = env) =>
      home.run(['router', ...local, '--object-store', objectStore], { env: by });
    const missing = await start(place('x', 'no-such-bucket'));
    expect(missing).toMatchObject({ exitCode: 4, stdout: '' });
    expect(missing.stderr).toMatch(/^error Unavailable: .*s3:\/\/no-such-bucket\/x.* there is no such bucket.*\n$/);
    const silent = await start(`s3://${s3.bucket}?endpoint=http://127.0.0.1:1`);
    expect(silent).toMatchObject({ exitCode: 4 });
    expect(silent.stderr).toMatch(/^error Unavailable: .*http:\/\/127\.0\.0\.1:1 .*\n$/);
    const { AWS_ACCESS_KEY_ID: _id, AWS_SECRET_ACCESS_KEY: _key, ...bare } = env;
    const keyless = await start(place('x'), { ...bare, AWS_EC2_METADATA_DISABLED: 'true' });
    expect(keyless.stderr).toMatch(/^error Unavailable: .*AWS_ACCESS_KEY_ID.*\n$/);
    expect(await start('gs://bucket')).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('s3://bucket') });
    const wrong = await start('s3://bucket?endpoint=minio');
    expect(wrong).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('http(s)://host:port') });
  });
});
