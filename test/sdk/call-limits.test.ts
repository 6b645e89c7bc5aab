import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { instanceKey } from '../../src/common/ids.js';
import { resolveSandboxOptions } from '../../src/common/sandbox-options.js';
import { callId } from '../../src/common/spawned-call.js';
import { remoteSpawned } from '../../src/sdk/calls/remote-spawned.js';
import { setDefaultClient } from '../../src/sdk/client-choice.js';
import type { ClassInstance, SandboxSession } from '../../src/sdk/index.js';
import {
  App,
  type Client,
  Cls,
  FunctionCall,
  NetworkFileSystem,
  Sandbox,
  Secret,
  Volume,
} from '../../src/sdk/index.js';
import { makeSandbox } from '../../src/sdk/sandbox/sandbox.js';
import { sandboxManifest } from '../../src/sdk/sandbox/sandbox-manifest.js';
import { Model } from './scripted-app.js';
import { ScriptedCluster } from './scripted-cluster.js';
import { outcome, turn } from './scripted-model.js';

interface Given {
  readonly signal?: AbortSignal;
  readonly timeoutMs?: number;
}

/** One method, asked with these limits. */
type Calls = Readonly<Record<string, (limits: Given) => Promise<unknown>>>;

const app = new App('limited');
const double = app.function(async (x: number) => x * 2, { name: 'double' });
const cluster = new ScriptedCluster();
const { client, core } = cluster;
setDefaultClient(client);
cluster.place.worker.onCall = () => undefined;
const shell = makeSandbox({
  ...{ appName: 'limited', name: 'shell', deployment: null, choice: core },
  local: { manifest: sandboxManifest('shell', resolveSandboxOptions('sandbox', {})) },
});
const session: SandboxSession = await shell.named('s');
const instance: ClassInstance<typeof Model> = await Cls.of(Model).named('m');
const handle = { ...session.handle, kind: 'sandbox' as const };
const classHandle = instance.handle;
const volume = Volume.fromName('v', { client, createIfMissing: true });
const nfs = NetworkFileSystem.fromName('n', { client, createIfMissing: true });
const id = callId(instanceKey({ account: 'a', app: 'scripted', className: 'Model', id: 'm' }), 'd'.repeat(24));
const call = new FunctionCall(remoteSpawned(core, id));
const local = join(tmpdir(), 'holdfast-never-there');

// From here on nobody answers.
cluster.isMute = true;
cluster.onControl = () => 'silence';

function first(values: AsyncIterable<unknown>): Promise<unknown> {
  return values[Symbol.asyncIterator]().next();
}

const control: Calls = {
  'App.lookup': (limits) => App.lookup('limited', { client, ...limits }),
  'Cls.fromName': (limits) => Cls.fromName('scripted', 'Model', { client, ...limits }),
  'Cls.fromHandle': (limits) => Cls.fromHandle(classHandle, { client, ...limits }),
  'cls.inspect': (limits) => Cls.of(Model).inspect(limits),
  'cls.attach': (limits) => Cls.of(Model).attach(classHandle, limits),
  'cls.closeHandle': (limits) => Cls.of(Model).closeHandle(classHandle, limits),
  'cls.list': (limits) => first(Cls.of(Model).list(limits)),
  'cls.with.new': (limits) => Cls.of(Model).with(limits).new(),
  'cls.with.named': (limits) => Cls.of(Model).with(limits).named('other'),
  'cls.with.bind': (limits) => Cls.of(Model).with(limits).bind('x'),
  'cls.with.closeNamed': (limits) => Cls.of(Model).with(limits).closeNamed('other'),
  'instance.inspect': (limits) => instance.inspect(limits),
  'instance.explain': (limits) => instance.explain(limits),
  'instance.close': (limits) => instance.close(limits),
  'instance.method.with': (limits) => instance.infer.with(limits)(1),
  'instance.generator.with': (limits) => first(instance.tokens.with(limits)(1)),
  'Sandbox.fromName': (limits) => Sandbox.fromName('limited', 'shell', { client, ...limits }),
  'sandbox.create': (limits) => shell.create(limits),
  'sandbox.named': (limits) => shell.named('other', { cwd: '/x', ...limits }),
  'sandbox.attach': (limits) => shell.attach(handle, limits),
  'sandbox.inspect': (limits) => shell.inspect(limits),
  'sandbox.closeHandle': (limits) => shell.closeHandle(handle, limits),
  'sandbox.closeNamed': (limits) => shell.closeNamed('other', limits),
  'sandbox.list': (limits) => first(shell.list(limits)),
  'FunctionCall.fromId': (limits) => FunctionCall.fromId(id, { client, ...limits }),
  'call.get': (limits) => call.get(limits),
  'call.status': (limits) => call.status(limits),
  'call.cancel': (limits) => call.cancel(limits),
  'call.explain': (limits) => call.explain(limits),
  'function.map': (limits) => first(double.map([1, 2], limits)),
  'function.starmap': (limits) => first(double.starmap([[1], [2]], limits)),
  'client.workers': (limits) => client.workers(limits),
  'client.apps': (limits) => client.apps(limits),
};

const sessions: Calls = {
  inspect: (limits) => session.inspect(limits),
  pwd: (limits) => session.pwd(limits),
  chdir: (limits) => session.chdir('/', limits),
  getEnv: (limits) => session.getEnv(limits),
  updateEnv: (limits) => session.updateEnv({}, limits),
  setEnv: (limits) => session.setEnv({}, limits),
  exists: (limits) => session.exists('a', limits),
  listdir: (limits) => session.listdir('a', limits),
  mkdir: (limits) => session.mkdir('a', limits),
  readText: (limits) => session.readText('a', limits),
  writeText: (limits) => session.writeText('a', 'b', limits),
  readBytes: (limits) => session.readBytes('a', limits),
  writeBytes: (limits) => session.writeBytes('a', new Uint8Array(8), limits),
  'writeBytes, streamed': (limits) => session.writeBytes('a', new Uint8Array(1_048_576), limits),
  uploadFile: (limits) => session.uploadFile(import.meta.filename, 'b', limits),
  downloadFile: (limits) => session.downloadFile('a', local, limits),
  execStream: (limits) => first(session.execStream('ls', { signal: limits.signal ?? AbortSignal.timeout(20) })),
  remove: (limits) => session.remove('a', limits),
  rename: (limits) => session.rename('a', 'b', limits),
  stat: (limits) => session.stat('a', limits),
  watch: (limits) => first(session.watch('a', limits)),
  readStream: async (limits) => session.readStream('a', limits).getReader().read(),
  writeStream: async (limits) => session.writeStream('a', limits).getWriter().write(new Uint8Array(8)),
  process: (limits) => session.process(5, limits),
  snapshot: (limits) => session.snapshot(limits),
  fork: (limits) => session.fork(limits),
  close: (limits) => session.close(limits),
};

const storage: Calls = {
  'Secret.create': (limits) => Secret.create('S', 'x', { client, ...limits }),
  'Secret.set': (limits) => Secret.set('S', 'x', { client, ...limits }),
  'Secret.list': (limits) => Secret.list({ client, ...limits }),
  'secret.delete': (limits) => Secret.fromName('S').delete({ client, ...limits }),
  'Volume.create': (limits) => Volume.create('v', { client, ...limits }),
  'Volume.list': (limits) => Volume.list({ client, ...limits }),
  'Volume.ephemeral': (limits) => Volume.ephemeral({ client, ...limits }),
  'Volume.fromArchive': (limits) => Volume.fromArchive('v', new Uint8Array(1_024), { client, ...limits }),
  'Volume.get': (limits) => Volume.get('v', { client, ...limits }),
  'volume.delete': (limits) => volume.delete({ client, ...limits }),
  'volume.readFile': (limits) => first(volume.readFile('a', limits)),
  'volume.writeFile': (limits) => volume.writeFile('a', 'b', limits),
  'volume.listdir': (limits) => volume.listdir('', limits),
  'volume.removeFile': (limits) => volume.removeFile('a', limits),
  'volume.copyFiles': (limits) => volume.copyFiles(['a'], 'b', limits),
  'volume.batchUpload': (limits) => volume.batchUpload([{ local: import.meta.filename, remote: 'a' }], limits),
  'volume.history': (limits) => volume.history(limits),
  'volume.diff': (limits) => volume.diff('a', undefined, limits),
  'volume.restore': (limits) => volume.restore('a', limits),
  'volume.branch': (limits) => volume.branch('b', limits),
  'NetworkFileSystem.ephemeral': (limits) => NetworkFileSystem.ephemeral({ client, ...limits }),
  'nfs.readFile': (limits) => first(nfs.readFile('a', limits)),
  'nfs.writeFile': (limits) => nfs.writeFile('a', 'b', limits),
  'nfs.listdir': (limits) => nfs.listdir('', limits),
  'nfs.delete': (limits) => nfs.delete({ client, ...limits }),
  'nfs.removeFile': (limits) => nfs.removeFile('a', limits),
};

/** Of those that a call is about nothing is there outside of a container. */
const inside: Calls = {
  'Volume.fromMount': (limits) => Volume.fromMount('/a', limits),
  exec: (limits) => session.exec('ls', limits),
  spawn: (limits) => session.spawn('ls', limits),
  forward: (limits) => session.forward(80, limits),
};

async function each(calls: Calls, ask: (one: Calls[string]) => Promise<string>): Promise<Record<string, string>> {
  const asked = Object.entries(calls).map(async ([name, one]) => [name, await ask(one)] as const);
  return Object.fromEntries(await Promise.all(asked));
}

/** What was asked so far; cancels of other tests may still come. */
const sent = () => ({
  ops: cluster.ops.filter(({ $case }) => $case !== 'cancel' && $case !== 'resolve').length,
  unary: cluster.unaryCalls.length,
  calls: cluster.place.worker.calls.length,
});
const all = (calls: Calls, what: string) => Object.fromEntries(Object.keys(calls).map((name) => [name, what]));
const code = (how: string): string => how.split(' ')[0] ?? '';

describe.each([
  ['of the control path', control],
  ['of sessions and their processes', sessions],
  ['of secrets, volumes and network file systems', storage],
])('every call %s', (_, calls) => {
  test('that is given an aborted signal sends nothing and is refused at once', async () => {
    const before = sent();
    const signal = AbortSignal.abort();
    expect(await each(calls, (one) => outcome(one({ signal })))).toEqual(all(calls, 'Cancelled not-run'));
    expect(sent()).toEqual(before);
  });

  test('ends when its signal is aborted, whoever does not answer', async () => {
    const cancelled = await each(calls, async (one) => {
      const abort = new AbortController();
      const how = outcome(one({ signal: abort.signal }));
      await turn();
      abort.abort();
      return code(await how);
    });
    expect(cancelled).toEqual(all(calls, 'Cancelled'));
  });

  test('ends when its time is over, whoever does not answer', async () => {
    const { execStream: _own, ...limited } = calls;
    const late = await each(limited, async (one) => code(await outcome(one({ timeoutMs: 20 }))));
    expect(late).toEqual(all(limited, 'DeadlineExceeded'));
  });

  test('refuses a time that is none, and a signal that is none', async () => {
    const wrong = [{ timeoutMs: 0 }, { timeoutMs: Number.NaN }, { timeoutMs: '5' }, { signal: {} }];
    for (const limits of wrong) {
      const { execStream: _own, ...limited } = calls;
      const refused = await each(limited, async (one) => code(await outcome(refusing(() => one(limits as Given)))));
      expect(refused).toEqual(all(limited, 'InvalidArgument'));
    }
  });
});

/** What is wrong with the options of an iterable is said when it is made. */
async function refusing(ask: () => Promise<unknown>): Promise<unknown> {
  return await ask();
}

test('a call of something in this container is refused at once, too', async () => {
  const signal = AbortSignal.abort();
  expect(await each(inside, async (one) => code(await outcome(one({ signal }))))).toEqual(all(inside, 'Cancelled'));
});

test('a fresh session whose create was aborted is closed when the router answers after all', async () => {
  const requests: number[] = [];
  cluster.onControl = ({ requestId, op }) => {
    if (op?.$case === 'create') requests.push(requestId);
    return 'silence';
  };
  const abort = new AbortController();
  const before = cluster.ops.length;
  const how = outcome(shell.create({ signal: abort.signal }));
  await turn();
  abort.abort();
  expect(await how).toBe('Cancelled unknown');
  await turn();
  const op = cluster.ops[before];
  if (op === undefined) throw new Error('nothing was asked');
  const pin = cluster.pin(op);
  cluster.reply({ requestId: requests[0] as number, result: { $case: 'pin', value: pin } });
  await expect.poll(() => cluster.ops.slice(before).map(({ $case }) => $case)).toEqual(['create', 'cancel', 'close']);
  expect(cluster.ops.at(-1)).toMatchObject({ value: { target: { value: { id: 'fresh' } }, force: true } });
});

test('a client that is none is refused', async () => {
  const wrong = { client: {} as Client };
  await expect(Secret.list(wrong)).rejects.toMatchObject({ code: 'InvalidArgument', details: { option: 'client' } });
});
