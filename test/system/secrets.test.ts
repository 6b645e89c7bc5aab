import { createHash, randomBytes } from 'node:crypto';
import { statSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { App, Client, Cls, type SandboxSession, Secret } from 'holdfast';
import { Redis } from 'ioredis';
import { connect } from 'nats';
import { expect, it } from 'vitest';
import { Home } from '../cli/holdfast.js';
import { canIsolate } from '../isolated-test.js';
import { startNats, startRedis } from '../servers.js';
import { startCollector } from './collector.js';

const [module, boxes] = ['secret-app', 'secret-box-app'].map((name) =>
  fileURLToPath(new URL(`../fixtures/${name}.ts`, import.meta.url)),
) as [string, string];
const [token, password] = ['hf-needle-4711-token', 'hf-needle-4712-password'];
const hash = (text: string) => createHash('sha256').update(text).digest('hex');

/** In any way in which bytes are written down. */
const needles = [
  'hf-needle',
  Buffer.from(token).toString('base64').slice(0, 20),
  Buffer.from('hf-needle').toString('hex'),
];

function traces(of: Buffer | string): string[] {
  const text = Buffer.isBuffer(of) ? of.toString('latin1') : of;
  return needles.filter((needle) => text.includes(needle));
}

/** The disks of sandboxes are larger: what is in them is their programs' own. */
const mostFileBytes = 100_000_000;

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return files.filter((file) => statSync(file).size < mostFileBytes);
}

async function records(url: string): Promise<string[]> {
  const redis = new Redis(url);
  try {
    const keys = await redis.keys('*');
    const read = async (key: string): Promise<string> => {
      const type = await redis.type(key);
      if (type === 'hash') return JSON.stringify(await redis.hgetall(key));
      if (type === 'set') return JSON.stringify(await redis.smembers(key));
      if (type === 'zset') return JSON.stringify(await redis.zrange(key, '0', '-1'));
      return String(await redis.get(key));
    };
    return await Promise.all(keys.map(async (key) => `${key} ${await read(key)}`));
  } finally {
    redis.disconnect();
  }
}

/** What a session that has the token tells of itself, and its fork; the build of its image has left what it saw. */
async function tellOfBox(client: Client): Promise<string[]> {
  const { box } = await App.lookup<typeof import('../fixtures/secret-box-app.js')>('secret-boxes', { client });
  await using session = await box.create();
  const [fork] = await session.fork();
  const told: string[] = [];
  for (const each of [session, fork as SandboxSession]) {
    const { stdout } = await each.exec('printenv API_TOKEN | tr -d "\\n" | sha256sum; cat /srv/build-env', {
      shell: true,
    });
    expect(stdout).toContain(hash(token));
    expect(stdout).toContain('STAGE=built');
    expect(stdout).not.toContain('API_TOKEN');
    told.push(stdout, JSON.stringify(await each.inspect()), each.handleJson);
  }
  told.push(JSON.stringify(await box.inspect()));
  await fork?.close();
  return told;
}

it('a secret reaches the containers that name it, and is in no record, message, log, trace, file or answer', async () => {
  await using home = new Home();
  await using nats = await startNats();
  await using redis = await startRedis();
  await using collector = await startCollector();
  const bus = await connect({ servers: nats.url });
  const messages: Uint8Array[] = [];
  bus.subscribe('>', { callback: (_error, message) => void messages.push(message.data) });
  const env = {
    HOLDFAST_NATS_URL: nats.url,
    HOLDFAST_REDIS_URL: redis.url,
    HOLDFAST_OBJECT_STORE: join(home.folder, 'objects'),
    ...collector.env,
  };
  const keyFile = join(home.folder, 'master-keys');
  await writeFile(keyFile, randomBytes(32).toString('base64'));
  await using router = home.start(['router', '--listen', '127.0.0.1:0', '--master-key-file', keyFile], env);
  await using worker = home.start(['worker', '--isolation', 'process', '--listen', '127.0.0.1:0', '--id', 'w1'], env);
  const { address } = JSON.parse(await router.line(/"event":"router\.ready"/)) as { address: string };
  await worker.line(/"event":"worker\.ready"/);
  const made = await home.run(['token', 'create', '--role', 'deploy', '--redis'], { env });
  const access = { HOLDFAST_ENDPOINT: address, HOLDFAST_TOKEN: made.stdout.trim() };
  const said: string[] = [];
  const run = async (args: readonly string[], stdin?: string) => {
    const ended = await home.run(args, {
      env: { ...access, ...collector.env },
      ...(stdin === undefined ? {} : { stdin }),
    });
    said.push(ended.stdout, ended.stderr);
    return ended;
  };

  expect(await run(['secret', 'set', 'API_TOKEN'], `${token}\n`)).toMatchObject({
    exitCode: 0,
    stdout: 'set API_TOKEN\n',
  });
  const variables = `# of the database\nDB_USER=app\nDB_PASSWORD=${password}\n`;
  expect(await run(['secret', 'set', '--variables', 'database'], variables)).toMatchObject({ exitCode: 0 });
  expect(await run(['deploy', module])).toMatchObject({ exitCode: 0 });

  const expected = { whileLoading: hash(token), entered: hash(token), password: hash(password), user: 'app' };
  const call = (className: string, id: string, method: string) =>
    run(['call', `secret-test/${className}`, id, method, '--json']);
  expect(JSON.parse((await call('Reader', 'one', 'hashes')).stdout)).toEqual(expected);
  expect(await call('Reader', 'one', 'fail')).toMatchObject({ exitCode: 1 });
  const bystander = JSON.parse((await call('Bystander', 'one', 'names')).stdout) as string[];
  expect(bystander.filter((name) => /TOKEN|DB_|HOLDFAST|KEY/.test(name))).toEqual([]);
  expect(await call('Missing', 'one', 'run')).toMatchObject({
    exitCode: 3,
    stderr: expect.stringMatching(/"NotFound".*secret 'NEVER_MADE'/),
  });

  const client = new Client({ endpoint: address, token: made.stdout.trim() });
  const app = await App.lookup<typeof import('../fixtures/secret-app.js')>('secret-test', { client });
  expect(await app.digest()).toBe(hash(token));
  if (canIsolate) {
    expect(await run(['deploy', boxes])).toMatchObject({ exitCode: 0 });
    said.push(...(await tellOfBox(client)));
  }

  // A rotation in which the old key stays until it is done; instances that run, and new ones, see nothing of it.
  const old = await readFile(keyFile, 'utf8');
  const fresh = randomBytes(32).toString('base64');
  await writeFile(keyFile, `${fresh}\n${old}`);
  expect((await run(['secret', 'rotate-key', '--json'])).stdout).toMatch(/"rewrapped":\s*2/);
  await writeFile(keyFile, fresh);
  expect(JSON.parse((await call('Reader', 'two', 'hashes')).stdout)).toEqual(expected);

  // A secret that is gone is so for new containers only.
  expect(await run(['secret', 'rm', 'API_TOKEN'])).toMatchObject({ exitCode: 0 });
  expect(await run(['secret', 'rm', 'API_TOKEN'])).toMatchObject({ exitCode: 3 });
  expect(JSON.parse((await call('Reader', 'one', 'hashes')).stdout)).toEqual(expected);
  expect(await call('Reader', 'three', 'hashes')).toMatchObject({
    exitCode: 3,
    stderr: expect.stringContaining('API_TOKEN'),
  });

  const asked: readonly (readonly string[])[] = [
    ['inspect', 'secret-test/Reader', 'one', '--explain', '--json'],
    ['handle', 'secret-test/Reader', 'one'],
    ['ps', '--json'],
    ['apps', '--json'],
    ['logs', 'secret-test'],
    ['secret', 'ls', '--json'],
  ];
  for (const args of asked) expect(await run(args), args.join(' ')).toMatchObject({ exitCode: 0 });
  const reader = await Cls.fromName('secret-test', 'Reader', { client });
  const info = await reader.inspect();
  expect(info.options['secrets']).toEqual([{ name: 'API_TOKEN' }, { name: 'database', requiredKeys: ['DB_PASSWORD'] }]);
  said.push(JSON.stringify(info), (await reader.named('one')).handleJson);
  await expect(Secret.create('database', token, { client })).rejects.toMatchObject({ code: 'AlreadyExists' });
  const created = await Secret.create('API_TOKEN', token, { client });
  expect((await Secret.list({ client })).map(({ name }) => name)).toEqual(['API_TOKEN', 'database']);
  expect(created.createdAt).toBeInstanceOf(Date);
  expect(await created.delete({ client })).toEqual({ deleted: true });
  said.push(JSON.stringify(created));
  await client.close();
  await collector.until(['router.resolve', 'worker.invoke']);

  const seen: Record<string, readonly (Buffer | string)[]> = {
    answers: said,
    logs: [router.output, worker.output],
    records: await records(redis.url),
    messages: messages.map((message) => Buffer.from(message)),
    traces: collector.received,
    files: await Promise.all((await filesBelow(home.folder)).map((file) => readFile(file))),
    processes: await Promise.all(
      [router.pid, worker.pid].flatMap((pid) => ['cmdline', 'environ'].map((file) => readFile(`/proc/${pid}/${file}`))),
    ),
  };
  for (const [where, texts] of Object.entries(seen)) {
    expect(texts.length, where).toBeGreaterThan(0);
    expect(texts.flatMap(traces), where).toEqual([]);
  }
  await bus.close();
  // Some thirty processes, one after the other, each with telemetry: on a busy machine a minute is not enough.
}, 180_000);
