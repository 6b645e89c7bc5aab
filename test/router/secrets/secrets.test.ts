import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock, systemRandom } from '../../../src/adapters/system/clock.js';
import { instanceKey } from '../../../src/common/ids.js';
import type { Kms } from '../../../src/common/ports/kms.js';
import type { SecretStore } from '../../../src/common/ports/store.js';
import type { RouterParts } from '../../../src/router/router-parts.js';
import { fetchSecrets } from '../../../src/router/secrets/fetch-secrets.js';
import { Secrets } from '../../../src/router/secrets/secrets.js';
import { OpenRequest, type Request } from '../../../src/router/service/request.js';
import { classManifest } from '../bus-worker.js';
import { account, Harness, refusal } from '../harness.js';
import { testKms } from '../test-kms.js';

const value = 'plain-4711-value';
let cluster: Harness;
let router: RouterParts;

beforeEach(async () => {
  const secrets = [{ name: 'TOKEN' }, { name: 'database', requiredKeys: ['USER', 'PASSWORD'] }];
  cluster = await Harness.start({
    routers: 0,
    classes: [classManifest('Counter', { secrets }), classManifest('Plain')],
  });
  router = cluster.addRouter({ kms: await testKms() });
});

afterEach(() => cluster[Symbol.asyncDispose]());

const request = (of = account): Request =>
  new OpenRequest({ kind: 'client', account: of, role: 'deploy' }, 10_000, router);
const opId = () => randomBytes(9).toString('base64url');
const set = (name: string, variables: Record<string, string>, how: { mustBeNew?: boolean; by?: Secrets } = {}) =>
  (how.by ?? router.secrets).set({ name, variables, mustBeNew: how.mustBeNew ?? false, opId: opId() }, request());

describe('secrets at the router', () => {
  it('are stored sealed: neither value nor variable names are in the record', async () => {
    await set('database', { USER: value, PASSWORD: 'other-plain' });
    const record = JSON.stringify(await cluster.store.secrets.get(account, 'database'));
    const bytes = Buffer.from((await cluster.store.secrets.get(account, 'database'))?.sealed ?? []).toString('latin1');
    for (const text of [value, 'USER', 'other-plain']) {
      expect(record).not.toContain(text);
      expect(bytes).not.toContain(text);
    }
  });

  it('keep the time of their making when they are set again, and refuse to be made twice', async () => {
    const made = await set('TOKEN', { TOKEN: 'a' }, { mustBeNew: true });
    const changed = await set('TOKEN', { TOKEN: 'b' });
    expect(changed).toMatchObject({ createdAtMs: made.createdAtMs });
    expect(await refusal(set('TOKEN', { TOKEN: 'c' }, { mustBeNew: true }))).toMatchObject({ code: 'AlreadyExists' });
    expect(await router.secrets.variables('it', [{ name: 'TOKEN' }], request())).toEqual({ TOKEN: 'b' });
  });

  it('are made once by a request that is sent again', async () => {
    const ask = { name: 'TOKEN', variables: { TOKEN: 'a' }, mustBeNew: true, opId: opId() };
    const first = await router.secrets.set(ask, request());
    expect(await router.secrets.set(ask, request())).toEqual(first);
  });

  it('are all there after many are set at once, by several routers', async () => {
    const other = cluster.addRouter({ kms: await testKms() });
    await Promise.all(
      Array.from({ length: 10 }, (_, i) =>
        set('RACED', { RACED: `${i}` }, { by: i % 2 ? router.secrets : other.secrets }),
      ),
    );
    expect(await router.secrets.list(request())).toMatchObject({ secrets: [{ name: 'RACED' }] });
  });

  it('that are missing are all named, with the variables that one lacks', async () => {
    await set('database', { USER: 'u' });
    const references = [{ name: 'TOKEN' }, { name: 'database', requiredKeys: ['USER', 'PASSWORD'] }];
    const error = await refusal(router.secrets.variables('shop/Counter/1', references, request()));
    expect(error).toMatchObject({
      code: 'NotFound',
      details: { missing: ["secret 'TOKEN'", "PASSWORD in secret 'database'"] },
    });
    expect(error.message).toContain('shop/Counter/1');
  });

  it('of another account are not there, and a record that was moved does not open', async () => {
    await set('TOKEN', { TOKEN: value });
    const elsewhere = new OpenRequest({ kind: 'client', account: 'other', role: 'deploy' }, 10_000, router);
    expect(await refusal(router.secrets.variables('it', [{ name: 'TOKEN' }], elsewhere))).toMatchObject({
      code: 'NotFound',
    });
    const record = await cluster.store.secrets.get(account, 'TOKEN');
    if (record === null) throw new Error('no record');
    await cluster.store.secrets.put({ ...record, account: 'other', revision: 'moved' }, null);
    await cluster.store.secrets.put({ ...record, name: 'RENAMED', revision: 'moved' }, null);
    for (const [who, name] of [
      [elsewhere, 'TOKEN'],
      [request(), 'RENAMED'],
    ] as const)
      expect(await refusal(router.secrets.variables('it', [{ name }], who))).toMatchObject({ code: 'Internal' });
  });

  it('are refused without a master key, for which the operator is told how to give one', async () => {
    const keyless = cluster.addRouter();
    const error = await refusal(set('TOKEN', { TOKEN: value }, { by: keyless.secrets }));
    expect(error).toMatchObject({ code: 'Unavailable', retryable: false });
    expect(error.message).toContain('--master-key-file');
    expect(error.message).not.toContain(value);
  });

  it('that are wrong are refused without being quoted', async () => {
    for (const variables of [{}, { 'not a name': value }, { A: `${value}\0` }, { A: value.repeat(5_000) }]) {
      const error = await refusal(set('TOKEN', variables as Record<string, string>));
      expect(error).toMatchObject({ code: 'InvalidArgument' });
      expect(error.message).not.toContain(value);
    }
  });
});

describe('a rotation of the master key', () => {
  const [old, fresh] = [randomBytes(32).toString('base64'), randomBytes(32).toString('base64')];
  const secretsWith = (kms: Kms, store: SecretStore = cluster.store.secrets) =>
    new Secrets({ store, kms, clock: systemClock, random: systemRandom });

  it('leaves every secret as it was, under the new key alone, and may be repeated', async () => {
    const before = secretsWith(await testKms(old));
    for (const name of ['A', 'B', 'C']) await set(name, { [name]: `${value}-${name}` }, { by: before });
    const during = secretsWith(await testKms(`${fresh},${old}`));
    expect(await during.rotate(request())).toMatchObject({ rewrapped: 3, secrets: 3 });
    expect(await during.rotate(request())).toMatchObject({ rewrapped: 0, secrets: 3 });
    const references = [{ name: 'A' }, { name: 'B' }, { name: 'C' }];
    const after = secretsWith(await testKms(fresh));
    expect(await after.variables('it', references, request())).toEqual({
      A: `${value}-A`,
      B: `${value}-B`,
      C: `${value}-C`,
    });
    expect(await refusal(before.variables('it', references, request()))).toMatchObject({ code: 'Unavailable' });
  });

  it('never undoes what is set beside it', async () => {
    await set('A', { A: 'first' }, { by: secretsWith(await testKms(old)) });
    const both = await testKms(`${fresh},${old}`);
    const { secrets: store } = cluster.store;
    let sets = 0;
    // Right before the rotation writes what it has read.
    const raced: SecretStore = {
      ...store,
      put: async (record, expected) => {
        if (sets++ === 0) await set('A', { A: 'second' }, { by: secretsWith(both) });
        return store.put(record, expected);
      },
    };
    await secretsWith(both, raced).rotate(request());
    expect(await secretsWith(await testKms(fresh)).variables('it', [{ name: 'A' }], request())).toEqual({
      A: 'second',
    });
  });
});

describe('a worker that asks for secrets', () => {
  const pinOf = async (id: string) => {
    const identity = { account, app: 'shop', className: 'Counter', id };
    await cluster.client(router).create(id, []);
    const pin = await cluster.store.pins.get(instanceKey(identity));
    if (pin === null) throw new Error('no pin');
    return { key: instanceKey(identity), epoch: pin.epoch, bootId: pin.bootId as string, mountSecrets: [] };
  };

  it('gets those of an instance that is placed on it, at that epoch, and no others', async () => {
    await set('TOKEN', { TOKEN: value });
    await set('database', { USER: 'u', PASSWORD: 'p', EXTRA: 'e' });
    const asked = await pinOf('one');
    const reply = await fetchSecrets(router, asked, request());
    expect(reply.variables).toEqual({ TOKEN: value, USER: 'u', PASSWORD: 'p', EXTRA: 'e' });
    for (const wrong of [{ bootId: 'another' }, { epoch: asked.epoch - 1 }, { key: 'nobody' }])
      expect(await refusal(fetchSecrets(router, { ...asked, ...wrong }, request()))).toMatchObject({
        code: 'PermissionDenied',
      });
    // It mounts nothing with them.
    const mounting = { ...asked, mountSecrets: ['TOKEN'] };
    expect(await refusal(fetchSecrets(router, mounting, request()))).toMatchObject({ code: 'PermissionDenied' });
    expect(await refusal(fetchSecrets(router, asked, request('other')))).toMatchObject({ code: 'PermissionDenied' });
    await cluster.client(router).closeNamed('one');
    expect(await refusal(fetchSecrets(router, asked, request()))).toMatchObject({ code: 'PermissionDenied' });
  });
});
