import { afterAll, beforeAll, expect, it } from 'vitest';
import { systemClock, systemRandom } from '../../../src/adapters/system/clock.js';
import type { Role } from '../../../src/common/ports/store.js';
import { type Router, startRouter } from '../../../src/router/router.js';
import { createRouterMetrics } from '../../../src/router/service/metrics.js';
import { RouterService } from '../../../src/wire/gen/holdfast/v1/router.js';
import { createGrpcTransport, type GrpcTransport } from '../../../src/wire/grpc/grpc-transport.js';
import { createToken } from '../../../src/wire/token.js';
import { account, Harness, quietLog, refusal, shortLeases } from '../harness.js';
import { testKms } from '../test-kms.js';

/** Of every method: the least that may call it. `Control` asks for each operation by itself, and for `call`. */
const needed: Readonly<Record<string, Role | 'worker'>> = {
  ...all('read', 'Lookup', 'Inspect', 'ListInstances', 'ListWorkers', 'ListApps', 'ListSpawned', 'Logs', 'ListSecrets'),
  ...all('read', 'FindVolume', 'ListVolumes', 'ListCommits', 'Hold', 'SignObjects', 'GetObject', 'ListImages'),
  ...all('read', 'ListLiveNames', 'ListLive', 'ReadLive'),
  ...all('call', 'Control', 'GetSpawned', 'CancelSpawned', 'CreateVolume', 'DeleteVolume', 'ExtendVolume'),
  ...all('call', 'ReserveObjects', 'PublishCommit', 'FindObjects', 'PutObject'),
  ...all('call', 'MakeLive', 'ExtendLive', 'DeleteLive', 'WriteLive', 'RemoveLive'),
  ...all('deploy', 'Deploy', 'DrainWorker', 'CreateToken', 'ListTokens', 'RevokeToken', 'SetSecret', 'DeleteSecret'),
  ...all('deploy', 'RotateSigningKey', 'ListSigningKeys', 'RetireSigningKey', 'RotateSecretKey', 'SweepVolumes'),
  ...all('deploy', 'SweepImages'),
  ...all('worker', 'FetchSecrets', 'Borrow'),
};
const roles: readonly (Role | 'worker')[] = ['read', 'call', 'deploy', 'worker'];
const limits = { timeoutMs: 10_000 };
const nothing = new Uint8Array(0);

let cluster: Harness;
let router: Router;
const transports = new Map<string, GrpcTransport>();

beforeAll(async () => {
  cluster = await Harness.start({ routers: 0 });
  const { store, objects } = cluster;
  router = await startRouter({
    ...{ routerId: 'r', accounts: [account], store, bus: cluster.connect(), objects, kms: await testKms() },
    ...{ clock: systemClock, random: systemRandom, log: quietLog, leaseTimes: shortLeases },
    ...{ metrics: createRouterMetrics(), listen: '127.0.0.1:0' },
  });
  for (const role of ['read', 'call', 'deploy'] as const) {
    const { text, record } = createToken(systemRandom, { account, role, label: 'test', createdAtMs: 0 });
    await store.keys.putToken(record);
    transports.set(role, createGrpcTransport({ endpoint: router.address, token: text }));
  }
  transports.set('nobody', createGrpcTransport({ endpoint: router.address }));
});

afterAll(async () => {
  await Promise.all([...transports.values()].map((transport) => transport.close()));
  await router.close();
  await cluster[Symbol.asyncDispose]();
});

function all(role: Role | 'worker', ...methods: string[]): Record<string, Role | 'worker'> {
  return Object.fromEntries(methods.map((method) => [method, role]));
}

/** Says nothing that is worth an answer. */
async function ask(method: string, who: string): Promise<unknown> {
  const transport = transports.get(who) as GrpcTransport;
  const service = Object.values(RouterService).find(({ path }) => path.endsWith(`/${method}`));
  if (service?.requestStream) return await transport.upload(method, [], limits);
  if (!service?.responseStream) return await transport.unary(method, nothing, limits);
  for await (const item of transport.download(method, nothing, {})) return item;
  return null;
}

const methods = Object.values(RouterService).map(({ path }) => path.slice(path.lastIndexOf('/') + 1));

it('every method of a router has a role', () => {
  expect(Object.keys(needed).sort()).toEqual([...methods].sort());
});

it.each(methods.filter((method) => method !== 'Control'))(
  '%s is for its role, and for no lesser one',
  async (method) => {
    const least = needed[method] ?? 'worker';
    expect(await refusal(ask(method, 'nobody'))).toMatchObject({ code: 'Unauthenticated' });
    for (const given of roles.slice(0, roles.indexOf(least)))
      expect(await refusal(ask(method, given))).toMatchObject({
        code: 'PermissionDenied',
        ...(least === 'worker' ? { message: `${method} is for workers only` } : { details: { needed: least, given } }),
      });
    if (least === 'worker' || method === 'Logs') return;
    const code = await ask(method, least).then(
      () => 'answered',
      (error: { readonly code?: unknown }) => error.code,
    );
    expect(['Unauthenticated', 'PermissionDenied', 'Internal']).not.toContain(code);
  },
);
