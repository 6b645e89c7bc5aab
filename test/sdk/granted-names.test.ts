import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { HoldfastError } from '../../src/sdk/index.js';
import { Cls } from '../../src/sdk/index.js';
import { decodeArgs } from '../../src/wire/codec/codec.js';
import type { MakeBody } from '../../src/wire/frames/frames.js';
import { ManualClock } from '../manual-clock.js';
import './scripted-app.js';
import type { Model } from './scripted-app.js';
import { ScriptedCluster } from './scripted-cluster.js';
import { errorReply, outcome, turn } from './scripted-model.js';
import { echo, type ScriptedWorker } from './scripted-worker.js';

let clock: ManualClock;
let cluster: ScriptedCluster;
let worker: ScriptedWorker;
let cls: Awaited<ReturnType<typeof load>>;

/** What a router says that is asked for the next grant, and the request that did. */
let next: ReturnType<NonNullable<ScriptedCluster['onControl']>>;
let nextAskedBy = 0;
const none = { grant: '', address: '', deployment: 0 };

const load = () => Cls.fromName<typeof Model>('scripted', 'Model', { client: cluster.client });
const made = ({ id }: MakeBody) => ({ key: `key-${id}`, epoch: 77, signature: `s-${id}` });

beforeEach(async () => {
  clock = new ManualClock();
  cluster = new ScriptedCluster(clock);
  worker = cluster.place.worker;
  worker.onCall = echo;
  worker.onMake = made;
  cls = await load();
  next = { $case: 'grant', value: none };
  cluster.onControl = ({ op, requestId }) => {
    if (op?.$case === 'grant') {
      nextAskedBy = requestId;
      return next;
    }
    return op === undefined ? null : { $case: 'pin', value: { ...cluster.pin(op), grant: 'granted' } };
  };
});

afterEach(() => cluster.client.close());

/** The ids that the router was asked for. */
function createdBy(): string[] {
  return cluster.ops.flatMap((op) => (op.$case === 'create' ? [op.value.id] : []));
}

async function nextAskedFor(): Promise<number> {
  for (let i = 0; i < 3; i += 1) await turn();
  return cluster.ops.filter(({ $case }) => $case === 'grant').length;
}

/** Two names are made, the second at 1.5 s, by its worker. */
async function untilNextIsAskedFor(): Promise<void> {
  await cls.named('a');
  clock.advance(1_500);
  await cls.named('b');
  clock.advance(40);
  expect(await nextAskedFor()).toBe(1);
}

async function nextComesLate(): Promise<void> {
  const value = { grant: 'next', address: worker.address, deployment: 1 };
  cluster.reply({ requestId: nextAskedBy, result: { $case: 'grant', value } });
  await turn();
}

function madeBy(at = worker): string[] {
  return at.asked.map(({ id }) => id);
}

describe('S13: a name of a class for which a router has given a grant', () => {
  test('is made by the worker that is named in it, and called there', async () => {
    await cls.named('a');
    const instance = await cls.named('b');
    expect([createdBy(), madeBy()]).toEqual([['a'], ['b']]);
    expect(worker.asked).toEqual([{ grant: 'granted', id: 'b' }]);
    expect(instance.handle).toMatchObject({ app: 'scripted', name: 'Model', id: 'b', account: 'a' });
    expect(instance.handle).toMatchObject({ generation: 77, signature: 's-b', kind: 'class', v: 1 });
    expect(await instance.infer(1)).toMatchObject({ method: 'infer', args: [1], epoch: 77 });
    expect(worker.calls[0]?.key).toBe('key-b');
  });

  test('is looked up when its worker cannot be reached any more', async () => {
    await cls.named('a');
    const instance = await cls.named('b');
    expect(await instance.infer(1)).toMatchObject({ epoch: 77 });
    const second = cluster.worker('w2:1');
    second.onCall = echo;
    cluster.place = { worker: second, epoch: 78 };
    worker.die();
    for (let i = 0; i < 100 && !cluster.ops.some(({ $case }) => $case === 'resolve'); i += 1) {
      void instance.infer
        .with({ timeoutMs: 60_000 })(2)
        .catch(() => undefined);
      clock.advance(100);
      await turn();
    }
    expect(await instance.infer(3)).toMatchObject({ epoch: 78 });
    expect(cluster.ops.at(-1)).toMatchObject({ value: { failedEpoch: 77, id: 'b', generation: 77 } });
  });

  test('has a slot that no other name has, also where one was given up', async () => {
    await cls.named('a');
    worker.onMake = (ask) => (ask.id === 'b' ? 'silence' : made(ask));
    const given = cls.named('b');
    while (worker.asked.length === 0) await turn();
    const [c, d] = [await cls.named('c'), await cls.named('d')];
    clock.advance(1_100);
    const b = await given;
    clock.advance(1_001);
    for (const each of [b, c, d]) await each.infer(1);
    expect(worker.calls.map(({ key }) => key)).toEqual(['key-b', 'key-c', 'key-d']);
  });

  test('has its arguments with it, if they are short', async () => {
    await cls.named('a');
    await cls.named('b', 'x');
    await cls.named('c', 'x'.repeat(5_000));
    expect(worker.asked.map(({ args }) => decodeArgs(args ?? Buffer.alloc(0)))).toEqual([['x']]);
    expect(createdBy()).toEqual(['a', 'c']);
  });

  test('is asked of a router where its worker does not make it, as are the next ones for a second', async () => {
    await cls.named('a');
    worker.onMake = () => null;
    expect((await cls.named('b')).handle).toMatchObject({ id: 'b', generation: 10 });
    worker.onMake = made;
    await cls.named('c');
    expect([createdBy(), madeBy()]).toEqual([['a', 'b', 'c'], ['b']]);
    clock.advance(1_001);
    await cls.named('d');
    await cls.named('e');
    expect([createdBy(), madeBy()]).toEqual([
      ['a', 'b', 'c'],
      ['b', 'd', 'e'],
    ]);
  });

  test('is asked of a router when the grant is 2 s old', async () => {
    await cls.named('a');
    clock.advance(1_999);
    await cls.named('b');
    clock.advance(1);
    await cls.named('c');
    expect([createdBy(), madeBy()]).toEqual([['a', 'c'], ['b']]);
  });

  test('is made on the next grant, which is asked for once while names are made and this one is a second old', async () => {
    const other = cluster.worker('w2:1');
    other.onMake = made;
    await cls.named('a');
    clock.advance(999);
    await cls.named('b');
    clock.advance(100);
    expect(await nextAskedFor()).toBe(0);
    next = { $case: 'grant', value: { grant: 'next', address: other.address, deployment: 1 } };
    await cls.named('c');
    await cls.named('d');
    clock.advance(40);
    expect(await nextAskedFor()).toBe(1);
    await cls.named('e');
    clock.advance(1_850);
    const last = await cls.named('f');
    expect([createdBy(), madeBy(), madeBy(other)]).toEqual([['a'], ['b', 'c', 'd'], ['e', 'f']]);
    expect(other.asked.map(({ grant }) => grant)).toEqual(['next', 'next']);
    expect(last.handle).toMatchObject({ app: 'scripted', name: 'Model', id: 'f', account: 'a' });
    clock.advance(40);
    expect(await nextAskedFor()).toBe(2);
  });

  test.each([
    ['names are a router’s', { $case: 'grant', value: none }],
    ['it is of an older deployment', { $case: 'grant', value: { ...none, grant: 'old', address: 'w1:1' } }],
    ['it is refused', errorReply('InstanceGone')],
    ['nobody answers', 'silence'],
  ] as const)('is asked of a router when the grant is 2 s old and no other came: %s', async (_, answer) => {
    next = answer;
    cluster.core.deployed('scripted', 1);
    await untilNextIsAskedFor();
    await cls.named('c');
    clock.advance(460);
    await cls.named('d');
    expect([createdBy(), madeBy()]).toEqual([
      ['a', 'd'],
      ['b', 'c'],
    ]);
  });

  test('is asked of a router 2 s after the next grant was asked for, however late that came', async () => {
    next = 'silence';
    await untilNextIsAskedFor();
    clock.advance(800);
    await nextComesLate();
    await cls.named('c');
    clock.advance(1_200);
    await cls.named('d');
    expect([createdBy(), madeBy()]).toEqual([
      ['a', 'd'],
      ['b', 'c'],
    ]);
  });

  test('is not made on a grant that was asked for before this program deployed', async () => {
    next = 'silence';
    await untilNextIsAskedFor();
    cluster.core.deployed('scripted', 2);
    await nextComesLate();
    await cls.named('c');
    expect([createdBy(), madeBy()]).toEqual([['a', 'c'], ['b']]);
  });

  test('is asked of a router where its worker does not answer', async () => {
    await cls.named('a');
    worker.onMake = () => 'silence';
    const asked = cls.named('b');
    while (worker.asked.length === 0) await turn();
    clock.advance(1_100);
    expect((await asked).handle.generation).toBe(10);
    expect(createdBy()).toEqual(['a', 'b']);
  });

  test('is asked of a router where the connection to its worker is lost', async () => {
    await cls.named('a');
    worker.onMake = () => {
      worker.die();
      return 'silence';
    };
    const asked = cls.named('b');
    while (worker.isAccepting) await turn();
    for (let i = 0; i < 100 && createdBy().length < 2; i += 1) {
      clock.advance(100);
      await turn();
    }
    expect((await asked).handle.generation).toBe(10);
  });

  test('is not known to be made where its caller leaves meanwhile', async () => {
    await cls.named('a');
    worker.onMake = () => 'silence';
    const abort = new AbortController();
    const asked = outcome(cls.with({ signal: abort.signal }).named('b'));
    while (worker.asked.length === 0) await turn();
    abort.abort();
    expect(await asked).toBe('Cancelled unknown');
    expect(createdBy()).toEqual(['a']);
  });

  test('takes no connection from calls, however many are asked for at once', async () => {
    await cls.named('a');
    const instance = await cls.named('b');
    worker.onCall = () => undefined;
    const call = instance.infer(1);
    await worker.received(1);
    const long = 'x'.repeat(4_000);
    const names = Array.from({ length: 20_000 }, (_, i) => cls.named(`n${i}`, long));
    expect(new Set((await Promise.all(names)).map(({ handle }) => handle.id)).size).toBe(20_000);
    worker.calls[0]?.result('still there');
    expect(await call).toBe('still there');
  });

  test('has a router asked in time where its caller has little', async () => {
    await cls.named('a');
    worker.onMake = () => 'silence';
    const asked = cls.with({ timeoutMs: 500 }).named('b');
    while (worker.asked.length === 0) await turn();
    clock.advance(300);
    expect((await asked).handle.generation).toBe(10);
  });

  test('is given up when the time of its caller is over, worker and router together', async () => {
    await cls.named('a');
    worker.onMake = () => 'silence';
    const asked = cls
      .with({ timeoutMs: 500 })
      .named('b')
      .catch((e: HoldfastError) => e.code);
    while (worker.asked.length === 0) await turn();
    cluster.onControl = () => 'silence';
    for (let i = 0; i < 12; i += 1) {
      clock.advance(100);
      await turn();
    }
    expect(await asked).toBe('DeadlineExceeded');
  });

  test('runs on what this program has deployed since', async () => {
    await cls.named('a');
    cluster.core.deployed('scripted', 2);
    await cls.named('b');
    // A router that has not heard of it yet granted that one.
    await cls.named('c');
    expect([createdBy(), madeBy()]).toEqual([['a', 'b', 'c'], []]);
  });

  test('is made by its own worker, of several classes', async () => {
    const other = cluster.worker('w2:1');
    other.onMake = made;
    await cls.named('a');
    cluster.place = { worker: other, epoch: 20 };
    const second = await Cls.fromName('scripted', 'Retried', { client: cluster.client });
    await second.named('x');
    await cls.named('b');
    await second.named('y');
    expect([madeBy(), madeBy(other)]).toEqual([['b'], ['y']]);
  });
});
