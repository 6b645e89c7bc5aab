import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hasGvisor } from '../gvisor-test.js';
import { canIsolate } from '../isolated-test.js';
import { freePort, startNats, startRedis, type TestServer } from '../servers.js';
import { Home, type Running } from './holdfast.js';

const module = fileURLToPath(new URL('./fixture-app.ts', import.meta.url));
/** Workers that are about something else, on hosts that cannot isolate too. */
const plain = ['--isolation', 'process'];
const home = new Home();
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

async function ready(server: Running, event: string): Promise<{ id: string; address: string; http: string }> {
  return JSON.parse(await server.line(new RegExp(`"event":"${event}"`)));
}

async function readiness(http: string): Promise<string> {
  const response = await fetch(`http://${http}/readyz`);
  return `${response.status} ${(await response.text()).trim()}`;
}

describe('a cluster of processes', () => {
  it('begins with a token made in Redis, runs calls, and drains a worker at SIGTERM without losing one', async () => {
    await using router = home.start(['router', '--listen', '127.0.0.1:0'], env);
    await using first = home.start(
      ['worker', ...plain, '--listen', '127.0.0.1:0', '--id', 'first', '--label', 'zone=a'],
      env,
    );
    const { address } = await ready(router, 'router.ready');
    expect(await ready(first, 'worker.ready')).toMatchObject({ id: 'first', address: expect.stringMatching(/:\d+$/) });
    const { exitCode, stdout } = await home.run(['token', 'create', '--role', 'deploy', '--redis'], { env });
    expect(exitCode).toBe(0);
    const to = ['--endpoint', address, '--token', stdout.trim()];

    expect(await home.json('deploy', module, ...to)).toMatchObject({
      app: 'shop',
      version: 1,
      classes: ['Counter', 'Greeter', 'shell'],
    });
    expect(await home.out('call', 'shop/Counter', 'one', 'add', '[4]', ...to)).toBe('4');
    expect(await home.json('workers', ...to)).toMatchObject([{ id: 'first', offer: { zone: 'a' } }]);

    const sealing = await home.run(['secret', 'set', 'KEY', ...to], { stdin: 'value' });
    expect(sealing.stderr).toMatch(/^error Unavailable: this router keeps no secrets, as it has no master key: /);

    const health = ['--http', '127.0.0.1:0'];
    const isolation = canIsolate ? [] : plain;
    await using second = home.start(
      ['worker', ...isolation, '--listen', '127.0.0.1:0', '--id', 'second', ...health],
      env,
    );
    const { http } = await ready(second, 'worker.ready');
    expect(await readiness(http)).toBe('200 ok');
    const call = home.start(['call', 'shop/Counter', 'one', 'wait', '[1000]', ...to]);
    await home.out('call', 'shop/Counter', 'other', 'add', ...to);
    first.signal('SIGTERM');
    expect(await first.ended).toBe(0);
    expect(first.output).toMatch(/"event":"worker\.draining"[\s\S]*"event":"worker\.stopped"/);
    expect(await call.ended).toBe(0);
    expect(await home.out('call', 'shop/Counter', 'one', 'add', ...to)).toBe('1');
    expect(await home.json('inspect', 'shop/Counter', 'one', ...to)).toMatchObject({ workerId: 'second' });

    expect(await home.out('drain', 'second', ...to)).toMatch(/^drained second: [12] instances? moved off$/);
    expect(await readiness(http)).toMatch(/^503 .*second .*draining/);
    router.signal('SIGTERM');
    expect(await router.ended).toBe(0);
  });

  it('lets a fenced worker say so and begin again in the same process', async () => {
    await using worker = home.start(
      ['worker', ...plain, '--listen', '127.0.0.1:0', '--id', 'slept', '--lease-ttl', '1500'],
      env,
    );
    await ready(worker, 'worker.ready');
    worker.signal('SIGSTOP');
    await worker.line(/watchdog of boot .*: /);
    worker.signal('SIGCONT');
    expect(JSON.parse(await worker.line(/worker\.fenced/))).toMatchObject({ level: 'error', worker: 'slept' });
    await worker.says(/worker\.fenced[\s\S]*worker\.ready/);
    worker.signal('SIGTERM');
    expect(await worker.ended).toBe(0);
  });

  it('tells its probe that a fenced worker is not ready, and when the next boot is', async () => {
    const args = ['--listen', '127.0.0.1:0', '--http', '127.0.0.1:0', '--id', 'cut-off', '--lease-ttl', '1500'];
    await using worker = home.start(['worker', ...plain, ...args], env);
    const { http } = await ready(worker, 'worker.ready');
    redis.signal('SIGSTOP');
    await worker.line(/worker\.fenced/);
    expect(await readiness(http)).toMatch(/^503 .*cut-off .*fenced/);
    redis.signal('SIGCONT');
    await worker.says(/worker\.fenced[\s\S]*worker\.ready/);
    expect(await readiness(http)).toBe('200 ok');
  });
});

describe('a server that cannot start', () => {
  it('says in one line which url does not answer, without its password, and ends with 4', async () => {
    const port = await freePort();
    const noNats = await home.run(['router', '--listen', '127.0.0.1:0'], {
      env: { ...env, HOLDFAST_NATS_URL: `nats://user:pass-word@127.0.0.1:${port}` },
    });
    expect(noNats).toMatchObject({ exitCode: 4, stdout: '' });
    expect(noNats.stderr).toMatch(new RegExp(`^error Unavailable: NATS at \\S*127\\.0\\.0\\.1:${port} .+\\n$`));
    const noRedis = await home.run(['worker', ...plain, '--listen', '127.0.0.1:0'], {
      env: { ...env, HOLDFAST_REDIS_URL: `redis://:pass-word@127.0.0.1:${port}` },
    });
    expect(noRedis).toMatchObject({ exitCode: 4, stdout: '' });
    expect(noRedis.stderr).toMatch(new RegExp(`^error Unavailable: .*127\\.0\\.0\\.1:${port}.*\\n$`));
    expect(noNats.stderr + noRedis.stderr).not.toContain('pass-word');
  });

  it('refuses what it would not keep: plain text on a network, isolation that is not there, a port that is taken', async () => {
    const plainText = await home.run(['router', '--listen', '0.0.0.0:0'], { env });
    expect(plainText).toMatchObject({ exitCode: 2 });
    expect(plainText.stderr).toContain('--allow-plain');
    const id = await home.run(['worker', ...plain, '--listen', '127.0.0.1:0', '--id', 'a.b'], { env });
    expect(id).toMatchObject({ exitCode: 2, stdout: '' });
    expect(id.stderr).toMatch(/^error InvalidArgument: worker id "a\.b" .+\n$/);
    if (!hasGvisor) {
      const isolation = await home.run(['worker', '--listen', '127.0.0.1:0', '--isolation', 'gvisor'], { env });
      expect(isolation).toMatchObject({ exitCode: 7 });
      expect(isolation.stderr).toMatch(/^error SandboxUnavailable: /);
    }
    const address = `127.0.0.1:${redis.port}`;
    const free = ['--listen', '127.0.0.1:0'];
    for (const args of [
      ['router', '--listen', address],
      ['router', ...free, '--http', address],
      ['worker', ...plain, '--listen', address],
    ]) {
      const taken = await home.run(args, { env });
      expect(taken.exitCode).toBe(4);
      expect(taken.stderr).toMatch(/^error Unavailable: cannot listen on \S+: another process listens there; .*\n$/);
      expect(taken.stderr).toContain(address);
    }
  });
});
