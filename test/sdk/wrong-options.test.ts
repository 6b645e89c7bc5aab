import { expect, test } from 'vitest';
import { App, Client, Cls, isHoldfastError, NetworkFileSystem, Sandbox, Secret, Volume } from '../../src/sdk/index.js';
import './scripted-app.js';
import type { Model } from './scripted-app.js';
import { ScriptedCluster } from './scripted-cluster.js';

const { client, core } = new ScriptedCluster();
const app = new App('wrong-options');
const cls = await Cls.fromName<typeof Model>('scripted', 'Model', { client });
const instance = await cls.named('m');
const volume = Volume.fromName('v', { client });
const nfs = NetworkFileSystem.fromName('n', { client });
const first = (values: AsyncIterable<unknown>) => values[Symbol.asyncIterator]().next();

/** What is asked with wrong options, the option that is wrong, and what the error says that it must be. */
const wrong: readonly (readonly [what: string, option: string, wanted: string, (given: never) => unknown, unknown])[] =
  [
    ['Cls.list', 'limit', 'a whole number from 0', (given) => first(cls.list(given)), { limit: -1 }],
    ['Cls.list', 'limit', 'a whole number from 0', (given) => first(cls.list(given)), { limit: 1.5 }],
    ['Cls.list', 'limit', 'a whole number from 0', (given) => first(cls.list(given)), { limit: '5' }],
    ['Cls.list', 'most', 'it has: limit', (given) => first(cls.list(given)), { most: 5 }],
    ['Cls.with', 'idempotencyKey', 'it has: signal, timeoutMs', (given) => cls.with(given), { idempotencyKey: 'x' }],
    ['Cls.attach', 'force', 'it has', (given) => cls.attach(instance.handle, given), { force: true }],
    ['instance.inspect', 'deep', 'it has', (given) => instance.inspect(given), { deep: true }],
    ['Cls.fromName', 'url', 'it has: baseUrl, client', (given) => Cls.fromName('a', 'b', given), { url: 'x' }],
    ['Cls.fromName', 'baseUrl', 'the URL of a router', (given) => Cls.fromName('a', 'b', given), { baseUrl: 5 }],
    ['Sandbox.fromName', 'client', 'a Client', (given) => Sandbox.fromName('a', 'b', given), { client: core }],
    ['App.lookup', 'client', 'a Client', (given) => App.lookup('a', given), { client: null }],
    ['app.deploy', 'instances', "one of 'keep'", (given) => app.deploy(given), { entry: 'x.ts', instances: 'drop' }],
    ['new Client', 'url', 'it has: endpoint', (given) => new Client(given), { url: 'x' }],
    ['new Client', 'tls', '{ ca, cert, key }', (given) => new Client(given), { tls: { pem: 'x' } }],
    ['Secret.set', 'ttlMs', 'it has', (given) => Secret.set('S', 'x', given), { client, ttlMs: 5 }],
    ['Secret.fromName', 'keys', 'it has: requiredKeys', (given) => Secret.fromName('S', given), { keys: [] }],
    ['Volume.fromName', 'sizeGB', 'it has: backend', (given) => Volume.fromName('v', given), { sizeGB: 5 }],
    [
      'Volume.fromName',
      'createIfMissing',
      'true or false',
      (given) => Volume.fromName('v', given),
      { createIfMissing: 1 },
    ],
    ['Volume.create', 'sizeGb', 'a number above 0', (given) => Volume.create('v', given), { client, sizeGb: -1 }],
    ['Volume.get', 'mintIfMissing', 'true or false', (given) => Volume.get('v', given), { client, mintIfMissing: 'y' }],
    ['Volume.ephemeral', 'prefix', 'a text', (given) => Volume.ephemeral(given), { client, prefix: 5 }],
    ['volume.history', 'limit', 'a whole number from 1', (given) => volume.history(given), { limit: -1 }],
    ['volume.listdir', 'recursive', 'true or false', (given) => volume.listdir('', given), { recursive: 'yes' }],
    ['volume.branch', 'at', 'a text', (given) => volume.branch('b', given), { at: 5 }],
    ['volume.batchUpload', 'onProgress', 'a function', (given) => volume.batchUpload([], given), { onProgress: 5 }],
    [
      'volume.commit',
      'onConflict',
      "one of 'last-writer-wins'",
      (given) => volume.commit(given),
      { onConflict: 'merge' },
    ],
    ['volume.reload', 'force', 'true or false', (given) => volume.reload(given), { force: 'yes' }],
    [
      'NetworkFileSystem.fromName',
      'readOnly',
      'it has',
      (given) => NetworkFileSystem.fromName('n', given),
      { readOnly: true },
    ],
    ['nfs.listdir', 'recursive', 'true or false', (given) => nfs.listdir('', given), { recursive: 'yes' }],
  ];

const cases = wrong.map(([what, option, wanted, ask, given]) => ({ what, option, wanted, ask, given }));

test.each(cases)('$what refuses a wrong $option with $wanted', async ({ option, wanted, ask, given }) => {
  const refused = await (async () => await ask(given as never))().then(
    () => null,
    (e: unknown) => e,
  );
  if (!isHoldfastError(refused, 'InvalidArgument')) throw refused ?? new Error('nothing was refused');
  expect(refused.message).toContain(`'${option}'`);
  expect(refused.message).toContain(wanted);
  expect(refused.details).toEqual({ option });
});

test('options that are no object are refused', async () => {
  for (const given of [null, 5, 'x', []])
    await expect(Secret.list(given as never)).rejects.toMatchObject({ code: 'InvalidArgument' });
});
