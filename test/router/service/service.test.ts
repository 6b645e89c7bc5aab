import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { systemClock, systemRandom } from '../../../src/adapters/system/clock.js';
import type { Role } from '../../../src/common/ports/store.js';
import { type Router, startRouter } from '../../../src/router/router.js';
import { createRouterMetrics } from '../../../src/router/service/metrics.js';
import { encodeArgs } from '../../../src/wire/codec/codec.js';
import { RouterHeartbeat } from '../../../src/wire/gen/holdfast/v1/bus.js';
import * as proto from '../../../src/wire/gen/holdfast/v1/router.js';
import { createGrpcTransport, type GrpcTransport } from '../../../src/wire/grpc/grpc-transport.js';
import { allRouterHeartbeatsSubject, logSubject } from '../../../src/wire/subjects.js';
import { createToken, mintWorkerToken } from '../../../src/wire/token.js';
import { type BusWorker, classManifest } from '../bus-worker.js';
import { account, ControlClient, Harness, quietLog, refusal, shortLeases } from '../harness.js';
import { testKms } from '../test-kms.js';

let cluster: Harness;
let router: Router;
const transports: GrpcTransport[] = [];
const routers: Router[] = [];

beforeEach(async () => {
  cluster = await Harness.start({ routers: 0 });
  router = await start();
});

afterEach(async () => {
  await Promise.all(transports.splice(0).map((transport) => transport.close()));
  await Promise.all(routers.splice(0).map((one) => one.close()));
  await cluster[Symbol.asyncDispose]();
});

async function start(): Promise<Router> {
  const started = await startRouter({
    routerId: `r${routers.length}`,
    accounts: [account],
    store: cluster.store,
    bus: cluster.connect(),
    objects: cluster.objects,
    kms: await testKms(),
    clock: systemClock,
    random: systemRandom,
    log: quietLog,
    leaseTimes: shortLeases,
    metrics: createRouterMetrics(),
    listen: '127.0.0.1:0',
    http: '127.0.0.1:0',
  });
  routers.push(started);
  return started;
}

function connect(token: string | undefined, to = router): GrpcTransport {
  const transport = createGrpcTransport({ endpoint: to.address, token });
  transports.push(transport);
  return transport;
}

async function tokenOf(role: Role, of = account): Promise<string> {
  const { text, record } = createToken(systemRandom, { account: of, role, label: 'test', createdAtMs: Date.now() });
  await cluster.store.keys.putToken(record);
  return text;
}

const limits = { timeoutMs: 10_000 };

async function listWorkers(transport: GrpcTransport): Promise<proto.ListWorkersReply> {
  return proto.ListWorkersReply.decode(await transport.unary('ListWorkers', new Uint8Array(), limits));
}

function bundleParts(header: Partial<proto.DeployHeader>, bundle: Buffer, pieceBytes = 65_536): Uint8Array[] {
  const manifest = { app: 'shop', tags: [], metadata: {}, classes: { Counter: classManifest('Counter') } };
  const value: proto.DeployHeader = {
    app: 'shop',
    manifestJson: JSON.stringify(manifest),
    bundleSha256: createHash('sha256').update(bundle).digest('hex'),
    instances: 'keep',
    ...header,
  };
  const parts: proto.DeployPart[] = [{ part: { $case: 'header', value } }];
  for (let at = 0; at < bundle.length; at += pieceBytes) {
    parts.push({ part: { $case: 'bundle', value: bundle.subarray(at, at + pieceBytes) } });
  }
  return parts.map((part) => proto.DeployPart.encode(part).finish());
}

describe('tokens', () => {
  it('are required, and must be ones of an account that this router serves', async () => {
    const stranger = await tokenOf('deploy', 'other');
    const known = await tokenOf('deploy');
    for (const token of [
      undefined,
      'nonsense',
      'hft.acme.none.secret',
      `${known}x`,
      known.replace('acme', 'other'),
      stranger,
    ]) {
      expect(await refusal(listWorkers(connect(token)))).toMatchObject({ code: 'Unauthenticated' });
    }
    await expect(listWorkers(connect(known))).resolves.toMatchObject({ workers: [{ id: 'w0' }] });
  });

  it('guard the control stream too', async () => {
    const ended = new Promise<Error | null>((onClosed) => {
      connect('hft.acme.none.secret')
        .openRouter()
        .open({ onMessage: () => undefined, onDrain: () => undefined, onClosed });
    });
    expect(await ended).toMatchObject({ code: 'Unauthenticated' });
  });

  it('give their role and what is below it, and the refusal names both', async () => {
    const reader = connect(await tokenOf('read'));
    await expect(listWorkers(reader)).resolves.toBeDefined();
    const request = proto.CreateTokenRequest.encode({ role: 'deploy', label: '' }).finish();
    expect(await refusal(reader.unary('CreateToken', request, limits))).toMatchObject({
      code: 'PermissionDenied',
      details: { needed: 'deploy', given: 'read' },
    });
    const create = new ControlClient(reader.openRouter()).create('a', []);
    expect(await refusal(create)).toMatchObject({
      code: 'PermissionDenied',
      details: { needed: 'call', given: 'read' },
    });
    const uploading = connect(await tokenOf('call')).upload('Deploy', bundleParts({}, Buffer.from('x')), limits);
    expect(await refusal(uploading)).toMatchObject({
      code: 'PermissionDenied',
      details: { needed: 'deploy', given: 'call' },
    });
  });

  it('of workers hold by the account’s keys until they expire', async () => {
    const deployer = connect(await tokenOf('deploy'));
    await new ControlClient(deployer.openRouter()).create('a', []);
    const fresh = { id: 'unused', secret: new Uint8Array(32), createdAtMs: 0 };
    const [key = fresh] = await cluster.store.keys.signingKeys(account, fresh);
    const expiresAtMs = Date.now() + 60_000;
    const good = mintWorkerToken(key, { account, role: 'call', expiresAtMs });
    await expect(listWorkers(connect(good))).resolves.toBeDefined();
    const expired = mintWorkerToken(key, { account, role: 'call', expiresAtMs: Date.now() - 1 });
    const raised = good.replace('.call.', '.deploy.');
    const forged = mintWorkerToken({ ...key, secret: new Uint8Array(32) }, { account, role: 'call', expiresAtMs });
    for (const token of [expired, raised, forged]) {
      expect(await refusal(listWorkers(connect(token)))).toMatchObject({ code: 'Unauthenticated' });
    }
  });

  it('are made, listed without their secret, and refused once revoked', async () => {
    const deployer = connect(await tokenOf('deploy'));
    const ask = proto.CreateTokenRequest.encode({ role: 'read', label: 'ci' }).finish();
    const made = proto.CreateTokenReply.decode(await deployer.unary('CreateToken', ask, limits));
    const reader = connect(made.token);
    await expect(listWorkers(reader)).resolves.toBeDefined();
    const list = await deployer.unary('ListTokens', new Uint8Array(), limits);
    expect(proto.ListTokensReply.decode(list).tokens).toContainEqual(
      expect.objectContaining({ id: made.id, role: 'read', label: 'ci' }),
    );
    expect(Buffer.from(list).includes(made.token.split('.')[3] ?? '')).toBe(false);
    const revoke = proto.RevokeTokenRequest.encode({ id: made.id }).finish();
    const revoked = await deployer.unary('RevokeToken', revoke, limits);
    expect(proto.RevokeTokenReply.decode(revoked)).toEqual({ revoked: true });
    expect(await refusal(listWorkers(reader))).toMatchObject({ code: 'Unauthenticated' });
    const unknownRole = proto.CreateTokenRequest.encode({ role: 'root', label: '' }).finish();
    expect(await refusal(deployer.unary('CreateToken', unknownRole, limits))).toMatchObject({
      code: 'InvalidArgument',
    });
  });
});

describe('secrets', () => {
  const setToken = (transport: GrpcTransport): Promise<Uint8Array> => {
    const ask = { name: 'TOKEN', variables: { TOKEN: 'plain-4711' }, mustBeNew: false, opId: 'operation' };
    return transport.unary('SetSecret', proto.SetSecretRequest.encode(ask).finish(), limits);
  };

  it('go in by role deploy, are listed by name for all, and come out for workers alone', async () => {
    const [deployer, caller] = [connect(await tokenOf('deploy')), connect(await tokenOf('call'))];
    await setToken(deployer);
    expect(await refusal(setToken(caller))).toMatchObject({ code: 'PermissionDenied' });
    const list = await connect(await tokenOf('read')).unary('ListSecrets', new Uint8Array(), limits);
    expect(proto.ListSecretsReply.decode(list).secrets).toMatchObject([{ name: 'TOKEN' }]);
    expect(Buffer.from(list).includes('plain-4711')).toBe(false);
    for (const method of ['DeleteSecret', 'RotateSecretKey'])
      expect(await refusal(caller.unary(method, new Uint8Array(), limits))).toMatchObject({ code: 'PermissionDenied' });
    for (const client of [deployer, caller])
      expect(await refusal(client.unary('FetchSecrets', new Uint8Array(), limits))).toMatchObject({
        code: 'PermissionDenied',
        message: expect.stringContaining('workers only'),
      });
  });

  it('come to the worker that has the instance, by its own token', async () => {
    await cluster.publish([classManifest('Counter', { secrets: [{ name: 'TOKEN' }] })]);
    await setToken(connect(await tokenOf('deploy')));
    const made = await new ControlClient(connect(await tokenOf('deploy')).openRouter()).create('a', []);
    const fresh = { id: 'unused', secret: new Uint8Array(32), createdAtMs: 0 };
    const [key = fresh] = await cluster.store.keys.signingKeys(account, fresh);
    const worker = connect(mintWorkerToken(key, { account, role: 'call', expiresAtMs: Date.now() + 60_000 }));
    const { bootId = '' } = cluster.workers[0] ?? {};
    const ask = { key: made.key, epoch: made.epoch, bootId, mountSecrets: [] };
    const reply = await worker.unary('FetchSecrets', proto.FetchSecretsRequest.encode(ask).finish(), limits);
    expect(proto.FetchSecretsReply.decode(reply).variables).toEqual({ TOKEN: 'plain-4711' });
  });
});

describe('a hostile client', () => {
  it('that sends garbage loses its own stream and nobody else’s', async () => {
    const transport = connect(await tokenOf('call'));
    const victim = new ControlClient(transport.openRouter());
    const made = await victim.create('a', []);
    for (const garbage of [
      Buffer.from([0xff, 0xff, 0xff]),
      Buffer.from([0x0a, 0x7f]),
      Buffer.from([0x0a, 2, 0x1a, 9]),
    ]) {
      const hostile = new ControlClient(transport.openRouter());
      hostile.sendRaw(garbage);
      expect(await hostile.ended).toMatchObject({ code: 'InvalidArgument' });
    }
    await expect(victim.resolve(made)).resolves.toMatchObject({ epoch: made.epoch });
  });

  it('that sends malformed requests gets an answer to each', async () => {
    const client = new ControlClient(connect(await tokenOf('call')).openRouter());
    const name = { app: 'shop', className: 'Counter', sharedByArgs: false, args: undefined };
    const ops: Parameters<ControlClient['ask']>[0][] = [
      { $case: 'create', value: { ...name, id: 'x'.repeat(5_000) } },
      { $case: 'create', value: { ...name, id: 'a\nb' } },
      { $case: 'create', value: { ...name, id: 'a', app: '' } },
      { $case: 'create', value: { ...name, id: 'a', args: Buffer.alloc(0) } },
      { $case: 'create', value: { ...name, id: '', sharedByArgs: true } },
      { $case: 'attach', value: { handle: undefined } },
      { $case: 'close', value: { target: undefined, force: false } },
    ];
    for (const op of ops) expect(await refusal(client.ask(op))).toMatchObject({ code: 'InvalidArgument' });
    client.sendRaw(
      proto.ControlBatch.encode({
        requests: [{ requestId: 77, traceparent: '', remainingMs: 0, op: undefined }],
        closeError: Buffer.alloc(0),
      }).finish(),
    );
    expect(await refusal(client.answerTo(77))).toMatchObject({ code: 'InvalidArgument' });
  });

  it('cannot use names of an object’s prototype as classes', async () => {
    const client = new ControlClient(connect(await tokenOf('call')).openRouter());
    for (const className of ['constructor', '__proto__', 'toString']) {
      const value = { app: 'shop', className, id: 'a', args: Buffer.from(encodeArgs([])), sharedByArgs: false };
      expect(await refusal(client.ask({ $case: 'create', value }))).toMatchObject({ code: 'NotFound' });
    }
  });
});

describe('deploy', () => {
  it('stores the bundle by its hash and publishes the next version', async () => {
    const deployer = connect(await tokenOf('deploy'));
    const bundle = Buffer.from('export class Counter {}'.repeat(10_000));
    const reply = proto.Deployment.decode(await deployer.upload('Deploy', bundleParts({}, bundle), limits));
    expect(reply).toMatchObject({ app: 'shop', version: 2 });
    expect(await cluster.objects.get(`bundles/${reply.bundleSha256}`)).toEqual(bundle);
    const lookup = proto.LookupRequest.encode({ app: 'shop', version: 0 }).finish();
    expect(proto.Deployment.decode(await deployer.unary('Lookup', lookup, limits))).toEqual(reply);
    const apps = proto.ListAppsReply.decode(await deployer.unary('ListApps', new Uint8Array(), limits));
    expect(apps.apps).toEqual([{ name: 'shop', deployment: 2, resources: ['Counter'] }]);
  });

  it('refuses a bundle that changed on the way, is too large, or has no fitting header', async () => {
    const deployer = connect(await tokenOf('deploy'));
    const bundle = Buffer.from('x');
    const refused: [Uint8Array[], string][] = [
      [bundleParts({ bundleSha256: 'a'.repeat(64) }, bundle), 'InvalidArgument'],
      [bundleParts({ bundleSha256: '../../etc' }, bundle), 'InvalidArgument'],
      [bundleParts({ instances: 'kill' }, bundle), 'InvalidArgument'],
      [bundleParts({ manifestJson: '{' }, bundle), 'InvalidArgument'],
      [bundleParts({ manifestJson: '{"app":"shop"}' }, bundle), 'InvalidArgument'],
      [bundleParts({ app: 'bank' }, bundle), 'InvalidArgument'],
      [bundleParts({}, bundle).slice(1), 'InvalidArgument'],
      [[], 'InvalidArgument'],
      [bundleParts({}, Buffer.alloc(67_108_865), 8_388_608), 'PayloadTooLarge'],
    ];
    for (const [parts, code] of refused) {
      expect(await refusal(deployer.upload('Deploy', parts, { timeoutMs: 30_000 }))).toMatchObject({ code });
    }
    expect(await cluster.store.apps.get(account, 'shop')).toMatchObject({ version: 1 });
  });

  it('with `restart` drains what runs, which starts on the new version at its next call', async () => {
    const deployer = connect(await tokenOf('deploy'));
    const client = new ControlClient(deployer.openRouter());
    const made = await Promise.all(Array.from({ length: 20 }, (_, i) => client.create(`a${i}`, [])));
    const parts = bundleParts({ instances: 'restart' }, Buffer.from('new'));
    await deployer.upload('Deploy', parts, limits);
    expect((cluster.workers[0] as BusWorker).held).toHaveLength(0);
    const again = await Promise.all(made.map((view) => client.resolve(view)));
    expect(new Set(again.map(({ deployment }) => deployment))).toEqual(new Set([2]));
  });

  it('with `keep` leaves what runs on its version', async () => {
    const deployer = connect(await tokenOf('deploy'));
    const client = new ControlClient(deployer.openRouter());
    const made = await client.create('a', []);
    await deployer.upload('Deploy', bundleParts({}, Buffer.from('new')), limits);
    await expect(client.resolve(made)).resolves.toMatchObject({ epoch: made.epoch, deployment: 1 });
    await expect(client.create('b', [])).resolves.toMatchObject({ deployment: 2 });
  });
});

describe('what can be seen', () => {
  it('of an instance: its pin, its load, and why it is where it is', async () => {
    const transport = connect(await tokenOf('call'));
    const made = await new ControlClient(transport.openRouter()).create('a', []);
    const inspect = async (ask: Partial<proto.InspectRequest>): Promise<proto.InspectReply> => {
      const instance = { app: 'shop', className: 'Counter', id: 'a' };
      const request = proto.InspectRequest.encode({ instance, explain: false, generation: 0, ...ask }).finish();
      return proto.InspectReply.decode(await transport.unary('Inspect', request, limits));
    };
    const { instance, explain } = await inspect({ explain: true });
    expect(instance).toMatchObject({
      id: 'a',
      state: 'active',
      workerId: 'w0',
      running: 1,
      pending: 2,
      epoch: made.epoch,
    });
    expect(explain).toMatchObject({ chosen: 'w0', phasesMs: { enter: 7 } });
    expect(explain?.leaseAgeMs).toBeLessThan(shortLeases.ttlMs);
    expect(explain?.transitions.map(({ to }) => to)).toEqual(['placing', 'active']);
    expect(await refusal(inspect({ generation: made.epoch - 1 }))).toMatchObject({ code: 'InstanceGone' });
    const nobody = { app: 'shop', className: 'Counter', id: 'nobody' };
    expect(await refusal(inspect({ instance: nobody }))).toMatchObject({ code: 'NotFound' });
  });

  it('of many instances: page by page over classes, each once', async () => {
    await cluster.publish([classManifest('Counter'), classManifest('Clerk')]);
    const transport = connect(await tokenOf('call'));
    const client = new ControlClient(transport.openRouter());
    for (const className of ['Counter', 'Clerk']) {
      for (let i = 0; i < 5; i++) {
        await client.ask({ $case: 'create', value: { app: 'shop', className, id: `i${i}`, sharedByArgs: false } });
      }
    }
    const seen: string[] = [];
    let after = '';
    do {
      const request = proto.ListInstancesRequest.encode({ app: '', className: '', limit: 3, after }).finish();
      const page = proto.ListInstancesReply.decode(await transport.unary('ListInstances', request, limits));
      expect(page.instances.length).toBeLessThanOrEqual(3);
      seen.push(...page.instances.map(({ name, id }) => `${name}/${id}`));
      after = page.next;
    } while (after !== '');
    expect(seen).toHaveLength(10);
    expect(new Set(seen).size).toBe(10);
    const garbled = proto.ListInstancesRequest.encode({ app: '', className: '', limit: 3, after: 'e30' }).finish();
    expect(await refusal(transport.unary('ListInstances', garbled, limits))).toMatchObject({ code: 'InvalidArgument' });
  });

  it('of a worker that died: `lost` once it is silent and its lease is gone', async () => {
    const transport = connect(await tokenOf('read'));
    const [worker] = cluster.workers;
    expect((await listWorkers(transport)).workers).toMatchObject([
      { id: 'w0', state: 'ready', bootId: worker?.bootId },
    ]);
    await worker?.die();
    await worker?.releaseLease();
    const lost = async () => {
      expect((await listWorkers(transport)).workers).toMatchObject([{ id: 'w0', state: 'lost' }]);
    };
    await vi.waitFor(lost, { timeout: 20_000, interval: 100 });
  });

  it('of a worker that was drained and has ended: it is none any more', async () => {
    const transport = connect(await tokenOf('read'));
    const [worker] = cluster.workers;
    if (worker === undefined) throw new Error('there is no worker');
    worker.heartbeatState = { state: 'draining' };
    worker.beat();
    await worker.die();
    await worker.releaseLease();
    const gone = async () => expect((await listWorkers(transport)).workers).toEqual([]);
    await vi.waitFor(gone, { timeout: 20_000, interval: 100 });
  });

  it('of logs: new lines as they come, of what was asked for', async () => {
    const transport = connect(await tokenOf('read'));
    const request = proto.LogsRequest.encode({ app: '', className: 'Counter', id: '', follow: true, tail: 0 }).finish();
    const bus = cluster.connect();
    const say = (className: string, message: string): void => {
      const line = {
        atMs: 1,
        app: 'shop',
        className,
        id: 'a',
        workerId: 'w0',
        level: 'info',
        message,
        fieldsJson: '',
        callId: '',
        source: 'log',
      };
      bus.publish(logSubject(account, 'shop'), proto.LogLine.encode(line).finish());
    };
    const speaking = new AbortController();
    const speak = async (): Promise<void> => {
      for (let i = 0; !speaking.signal.aborted; i++) {
        say('Clerk', 'unasked');
        say('Counter', `line ${i}`);
        await systemClock.sleep(5);
      }
    };
    const spoken = speak();
    const heard: string[] = [];
    for await (const bytes of transport.download('Logs', request, {})) {
      heard.push(proto.LogLine.decode(bytes).message);
      if (heard.length === 5) break;
    }
    speaking.abort();
    await spoken;
    const first = Number(heard[0]?.slice(5));
    expect(heard).toEqual(Array.from({ length: 5 }, (_, i) => `line ${first + i}`));
  });

  it('of the router itself: its heartbeat, its health and its metrics', async () => {
    const heard = new Promise<RouterHeartbeat>((resolve) => {
      cluster
        .connect()
        .subscribe(allRouterHeartbeatsSubject(account), ({ payload }) => resolve(RouterHeartbeat.decode(payload)));
    });
    expect(await heard).toEqual({ routerId: 'r0', address: router.address });
    await new ControlClient(connect(await tokenOf('call')).openRouter()).create('a', []);
    const get = async (path: string) => {
      const response = await fetch(`http://${router.httpAddress}${path}`);
      return { status: response.status, text: await response.text() };
    };
    expect(await get('/healthz')).toEqual({ status: 200, text: 'ok\n' });
    expect(await get('/readyz')).toEqual({ status: 200, text: 'ok\n' });
    expect((await get('/nothing')).status).toBe(404);
    const { text } = await get('/metrics');
    expect(text).toMatch(/holdfast_router_op_seconds_count\{op="create",outcome="ok"\} 1/);
    expect(text).toMatch(/holdfast_router_places_total\{outcome="active"\} 1/);
  });
});

describe('a drain', () => {
  it('is passed to the worker, and names those that exist where there is none of that name', async () => {
    const deployer = connect(await tokenOf('deploy'));
    await new ControlClient(deployer.openRouter()).create('a', []);
    const drain = (workerId: string) =>
      deployer.unary('DrainWorker', proto.DrainWorkerRequest.encode({ workerId, timeoutMs: 1_000 }).finish(), limits);
    expect(proto.DrainWorkerReply.decode(await drain('w0'))).toEqual({ drained: 1 });
    expect(await refusal(drain('w9'))).toMatchObject({ code: 'NotFound', details: { workers: ['w0'] } });
  });
});

describe('a router that closes', () => {
  it('ends its streams with an error that another router can help', async () => {
    const second = await start();
    const token = await tokenOf('call');
    const client = new ControlClient(connect(token).openRouter());
    const made = await client.create('a', []);
    await router.close();
    expect(await client.ended).toMatchObject({ code: 'Unavailable', retryable: true });
    const other = new ControlClient(connect(token, second).openRouter());
    await expect(other.resolve(made)).resolves.toMatchObject({ epoch: made.epoch });
  });
});

describe('a stream with too much open', () => {
  it('is told to wait', async () => {
    const away = { ...cluster.store.pins, getMany: () => new Promise<never>(() => undefined) };
    const parts = cluster.addRouter({ store: { ...cluster.store, pins: away } });
    const client = cluster.client(parts);
    const value = { app: 'shop', className: 'Counter', id: 'a', sharedByArgs: false };
    const op = { $case: 'create' as const, value };
    const requests = Array.from({ length: 16_385 }, (_, i) => ({
      requestId: i + 1,
      traceparent: '',
      remainingMs: 60_000,
      op,
    }));
    const last = client.answerTo(16_385);
    client.sendRaw(proto.ControlBatch.encode({ requests, closeError: Buffer.alloc(0) }).finish());
    expect(await refusal(last)).toMatchObject({ code: 'Unavailable', retryable: true, outcome: 'not-run' });
    client.close();
    expect(await client.ended).toBeNull();
  });
});
