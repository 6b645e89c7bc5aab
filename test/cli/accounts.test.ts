import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { App, Client, Cls, FunctionCall, Secret, Volume } from 'holdfast';
import { connect } from 'nats';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  Deployment,
  DeployPart,
  GetObjectRequest,
  LookupRequest,
  ObjectPart,
} from '../../src/wire/gen/holdfast/v1/router.js';
import { createGrpcTransport, type GrpcTransport } from '../../src/wire/grpc/grpc-transport.js';
import { startNats, startRedis, type TestServer } from '../servers.js';
import { Home, type Running } from './holdfast.js';

/** A cluster of one account; both are on the same servers and keep objects in the same folder. */
interface Side {
  readonly account: string;
  readonly endpoint: string;
  readonly token: string;
  readonly client: Client;
}

const module = fileURLToPath(new URL('./fixture-app.ts', import.meta.url));
const guide = fileURLToPath(new URL('../../docs/operations.md', import.meta.url));
const home = new Home();
const processes: Running[] = [];
let nats: TestServer;
let redis: TestServer;
let ours: Side;
let theirs: Side;

beforeAll(async () => {
  const config = join(home.folder, 'nats.conf');
  writeFileSync(config, natsConfig(['ours', 'theirs']));
  [nats, redis] = await Promise.all([startNats({ arguments: ['--config', config] }), startRedis()]);
  [ours, theirs] = await Promise.all([startSide('ours'), startSide('theirs')]);
});

afterAll(async () => {
  await Promise.all([ours?.client.close(), theirs?.client.close()]);
  await Promise.all(processes.map((one) => one[Symbol.asyncDispose]()));
  await home[Symbol.asyncDispose]();
  await Promise.all([nats?.[Symbol.asyncDispose](), redis?.[Symbol.asyncDispose]()]);
});

/** The permissions that the operations guide gives, once for each account. */
function natsConfig(accounts: readonly string[]): string {
  const shown = /\nauthorization \{\n([\s\S]*?)\n {2}users = \[/.exec(readFileSync(guide, 'utf8'))?.[1];
  if (shown === undefined) throw new Error('the operations guide shows no permissions of NATS');
  const roles = accounts.map((account) =>
    shown.replaceAll('.default.', `.${account}.`).replaceAll(/^ {2}(router|worker) = /gm, `  ${account}_$1 = `),
  );
  const users = accounts.flatMap((account) =>
    ['router', 'worker'].map(
      (role) => `{ user: ${account}-${role}, password: secret, permissions: $${account}_${role} }`,
    ),
  );
  return `authorization {\n${roles.join('\n')}\n  users = [\n${users.join('\n')}\n]\n}\n`;
}

function natsUrl(account: string, role: 'router' | 'worker'): string {
  return nats.url.replace('//', `//${account}-${role}:secret@`);
}

async function startSide(account: string): Promise<Side> {
  const shared = { HOLDFAST_REDIS_URL: redis.url, HOLDFAST_OBJECT_STORE: join(home.folder, 'objects') };
  const start = (role: 'router' | 'worker', ...more: string[]): Running => {
    const args = [role, '--account', account, '--listen', '127.0.0.1:0', ...more];
    const running = home.start(args, { ...shared, HOLDFAST_NATS_URL: natsUrl(account, role) });
    processes.push(running);
    return running;
  };
  writeFileSync(join(home.folder, `${account}.key`), Buffer.alloc(32, account).toString('base64'), { mode: 0o600 });
  const router = start('router', '--master-key-file', join(home.folder, `${account}.key`));
  const worker = start('worker', '--isolation', 'process', '--id', `worker-of-${account}`);
  const [{ address: endpoint }] = await Promise.all([
    router.line(/"event":"router\.ready"/).then((line) => JSON.parse(line) as { address: string }),
    worker.line(/"event":"worker\.ready"/),
  ]);
  const made = await home.run(['token', 'create', '--role', 'deploy', '--redis', '--account', account], {
    env: shared,
  });
  const token = made.stdout.trim();
  await home.out('deploy', module, '--endpoint', endpoint, '--token', token);
  return { account, endpoint, token, client: new Client({ endpoint, token }) };
}

async function counterOf({ client }: Side) {
  const app = await App.lookup<typeof import('./fixture-app.js')>('shop', { client });
  return app.Counter;
}

async function codeOf(asked: Promise<unknown>): Promise<unknown> {
  return asked.then(
    (value) => value,
    (error: { code?: unknown }) => error.code,
  );
}

describe('two accounts on the same Redis, NATS and objects, with the permissions of the operations guide', () => {
  it('have instances of their own under the same names', async () => {
    const [here, there] = [await counterOf(ours), await counterOf(theirs)];
    const [a, b] = [await here.named('one'), await there.named('one')];
    expect([await a.add(2), await b.add(5), await a.add(1)]).toEqual([2, 5, 3]);
    for (const side of [ours, theirs]) {
      const to = ['--endpoint', side.endpoint, '--token', side.token];
      expect(await home.json('workers', ...to)).toMatchObject([{ id: `worker-of-${side.account}` }]);
      expect(await home.json('ps', ...to)).toMatchObject([{ id: 'one', workerId: `worker-of-${side.account}` }]);
    }
  });

  it('refuse each other’s tokens and handles, also with the account changed', async () => {
    const stranger = new Client({ endpoint: theirs.endpoint, token: ours.token });
    expect(await codeOf(stranger.workers())).toBe('Unauthenticated');
    await stranger.close();
    const renamed = new Client({ endpoint: theirs.endpoint, token: ours.token.replace('.ours.', '.theirs.') });
    expect(await codeOf(renamed.workers())).toBe('Unauthenticated');
    await renamed.close();
    const here = await counterOf(ours);
    const { handle } = await here.named('handed');
    for (const tried of [handle, { ...handle, account: 'theirs' }]) {
      expect(await codeOf(Cls.fromHandle(tried, { client: theirs.client }))).toBe('PermissionDenied');
      expect(await codeOf((await counterOf(theirs)).closeHandle(tried))).toBe('PermissionDenied');
    }
    expect(await (await here.named('handed')).add(1)).toBe(1);
  });

  it('see neither secrets nor volumes of the other, and the same content is no way to them', async () => {
    await Secret.set('TOKEN', 'of-ours', { client: ours.client });
    expect(await Secret.list({ client: theirs.client })).toEqual([]);
    const volume = await Volume.create('data', { client: ours.client });
    await volume.writeFile('a.txt', 'of ours');
    expect(await Volume.list({ client: theirs.client })).toEqual([]);
    const same = Volume.fromName('data', { client: theirs.client });
    expect(await codeOf(same.readFile('a.txt')[Symbol.asyncIterator]().next())).toBe('NotFound');
    expect(await codeOf(same.delete())).toEqual({ deleted: false });
    expect((await volume.listdir()).map(({ path }) => path)).toEqual(['a.txt']);
  });

  it('have classes whose clients see the volumes of their own account, and no others', async () => {
    const inside = fileURLToPath(new URL('../fixtures/inside-app.ts', import.meta.url));
    const librarianOf = async ({ client, endpoint, token }: Side) => {
      await home.out('deploy', inside, '--endpoint', endpoint, '--token', token);
      const app = await App.lookup<typeof import('../fixtures/inside-app.js')>('inside-test', { client });
      return await app.Librarian.named('one');
    };
    const [here, there] = [await librarianOf(ours), await librarianOf(theirs)];
    await here.write('of-ours', 'a', 'x'.repeat(100_000));
    expect(await there.volumes()).toEqual([]);
    // What its code was refused with.
    const refused = await there.read('of-ours', 'a').catch((error: Error) => error.cause);
    expect(refused).toMatchObject({ code: 'NotFound' });
    // The same bytes: each account has its own.
    await there.write('of-ours', 'a', 'x'.repeat(100_000));
    expect(await there.list('of-ours')).toEqual(['a']);
    expect((await Volume.list({ client: theirs.client })).map(({ name }) => name)).toEqual(['of-ours']);
  });

  it('have no way to each other’s spawned calls, bundles and objects, whose names they know', async () => {
    const [here, there] = [await counterOf(ours), await counterOf(theirs)];
    const call = await (await here.named('spawner')).add.spawn(3);
    expect(await call.get({ timeoutMs: 20_000 })).toBe(3);
    const stolen = () => FunctionCall.fromId(call.id, { client: theirs.client });
    expect(await codeOf(stolen().then((known) => known.get({ timeoutMs: 5_000 })))).toBe('NotFound');
    expect(await codeOf(stolen().then((known) => known.cancel()))).toBe('NotFound');

    const volume = await Volume.create('known', { client: ours.client });
    const bytes = randomBytes(100_000);
    await volume.writeFile('a', bytes);
    const transports = [ours, theirs].map(({ endpoint, token }) => createGrpcTransport({ endpoint, token }));
    const [mine, other] = transports as [GrpcTransport, GrpcTransport];
    const read = async (transport: GrpcTransport, hash: string): Promise<Buffer> => {
      const pieces: Uint8Array[] = [];
      for await (const part of transport.download('GetObject', GetObjectRequest.encode({ hash }).finish(), {}))
        pieces.push(ObjectPart.decode(part).bytes);
      return Buffer.concat(pieces);
    };
    const hash = createHash('sha256').update(bytes).digest('hex');
    expect((await read(mine, hash)).equals(bytes)).toBe(true);
    expect(await codeOf(read(other, hash))).toBe('NotFound');

    // Bundles lie together, by what they are: whoever names one must have it.
    const limits = { timeoutMs: 20_000 };
    const lookup = LookupRequest.encode({ app: 'shop', version: 0 }).finish();
    const { bundleSha256, manifestJson } = Deployment.decode(await mine.unary('Lookup', lookup, limits));
    const value = { app: 'shop', manifestJson, bundleSha256, instances: 'keep' };
    const header = DeployPart.encode({ part: { $case: 'header', value } }).finish();
    expect(await codeOf(other.upload('Deploy', [header], limits))).toBe('InvalidArgument');
    await Promise.all(transports.map((transport) => transport.close()));
    expect(await (await there.named('unharmed')).add(1)).toBe(1);
  });

  it('cannot speak to each other’s workers over NATS', async () => {
    const errors: string[] = [];
    const connection = await connect({ servers: nats.url.replace('nats://', ''), user: 'ours-router', pass: 'secret' });
    const listening = (async () => {
      for await (const { type, error } of connection.status() as AsyncIterable<{ type: string; error?: Error }>)
        if (type === 'error') errors.push(String(error?.message));
    })();
    connection.subscribe('hf.v1.theirs.>', { callback: () => undefined });
    connection.publish('hf.v1.theirs.worker.worker-of-theirs.ctl', 'x');
    await expect
      .poll(() => errors.join('\n'), { timeout: 20_000 })
      .toMatch(/(?=[\s\S]*subscription to "hf\.v1\.theirs\.>")(?=[\s\S]*publish to "hf\.v1\.theirs\.worker)/i);
    await connection.close();
    await listening;
  });
});
