import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Certificates, makeCertificates } from '../certificates.js';
import { startNats, startRedis, type TestServer } from '../servers.js';
import { Home, type Running } from './holdfast.js';

const module = fileURLToPath(new URL('../fixtures/behaviour-app.ts', import.meta.url));
const home = new Home();
const { ca, cert, key }: Certificates = makeCertificates(home.folder);
const own = ['--listen', '127.0.0.1:0', '--tls-cert', cert, '--tls-key', key];
let nats: TestServer;
let redis: TestServer;
let env: NodeJS.ProcessEnv;

beforeAll(async () => {
  [nats, redis] = await Promise.all([startNats(), startRedis()]);
  env = {
    HOLDFAST_NATS_URL: nats.url,
    HOLDFAST_REDIS_URL: redis.url,
    HOLDFAST_OBJECT_STORE: join(home.folder, 'objects'),
  };
});

afterAll(async () => {
  await home[Symbol.asyncDispose]();
  await Promise.all([nats[Symbol.asyncDispose](), redis[Symbol.asyncDispose]()]);
});

async function clientOf(router: Running): Promise<{ HOLDFAST_ENDPOINT: string; HOLDFAST_TOKEN: string }> {
  const { address } = JSON.parse(await router.line(/"router\.ready"/)) as { address: string };
  const { stdout } = await home.run(['token', 'create', '--role', 'deploy', '--redis'], { env });
  return { HOLDFAST_ENDPOINT: address, HOLDFAST_TOKEN: stdout.trim() };
}

describe('TLS', () => {
  it('by an authority of the operator: deploy, calls, and calls between instances', async () => {
    await using router = home.start(['router', ...own], env);
    await using worker = home.start(['worker', '--isolation', 'process', ...own, '--id', 'private'], {
      ...env,
      HOLDFAST_CA: ca,
    });
    const client = { ...(await clientOf(router)), HOLDFAST_CA: ca };
    await worker.line(/"worker\.ready"/);
    const run = (...args: string[]) => home.run(args, { env: client });
    expect(await run('deploy', module)).toMatchObject({ exitCode: 0 });
    expect(await run('call', 'behaviour/Counter', 'inner', 'add', '[4]')).toMatchObject({ stdout: '4\n' });
    const nested = await run('call', 'behaviour/Nested', 'outer', 'addThrough', '["inner", 3]', '--timeout', '20000');
    expect(nested).toMatchObject({ exitCode: 0, stdout: '7\n' });

    const stranger = await home.run(['ps'], { env: { ...client, HOLDFAST_CA: '' } });
    expect(stranger).toMatchObject({ exitCode: 4, stdout: '' });
  });

  it('that asks clients for certificates lets in those who show one, nobody else', async () => {
    const mutual = [...own, '--tls-ca', ca];
    await using router = home.start(['router', ...mutual], env);
    await using worker = home.start(['worker', '--isolation', 'process', ...mutual, '--id', 'mutual'], env);
    const client = await clientOf(router);
    await worker.line(/"worker\.ready"/);
    const shown = { ...client, HOLDFAST_CA: ca, HOLDFAST_CERT: cert, HOLDFAST_KEY: key };
    const run = (...args: string[]) => home.run(args, { env: shown });
    expect(await run('deploy', module)).toMatchObject({ exitCode: 0 });
    const nested = await run('call', 'behaviour/Nested', 'second', 'addThrough', '["other", 5]', '--timeout', '20000');
    expect(nested).toMatchObject({ exitCode: 0, stdout: '5\n' });

    const asOptions = await home.run(['ps', '--ca', ca, '--cert', cert, '--key', key], { env: client });
    expect(asOptions.stdout).toContain('behaviour/Nested');
    expect(await run('logs')).toMatchObject({ exitCode: 0 });
    const nobody = await home.run(['ps', '--ca', ca], { env: client });
    expect(nobody).toMatchObject({ exitCode: 4, stdout: '' });
    const half = await home.run(['ps', '--cert', cert], { env: client });
    expect(half).toMatchObject({ exitCode: 2, stdout: '' });
    expect(half.stderr).toContain('--key');
  });

  it('with files that do not fit is refused with the reason', async () => {
    const args = ['--listen', '127.0.0.1:0', '--tls-cert', key, '--tls-key', key];
    const server = await home.run(['router', ...args], { env });
    expect(server).toMatchObject({ exitCode: 2, stdout: '' });
    expect(server.stderr).toMatch(/^error InvalidArgument: the certificate, its key or the authority cannot be used: /);
  });
});
