import { afterEach, describe, expect, it } from 'vitest';
import { HoldfastError } from '../../../src/common/errors.js';
import { type InstanceKey, instanceKey } from '../../../src/common/ids.js';
import type { ClassOptions } from '../../../src/common/manifest.js';
import type { PinStore, SigningKey, Store } from '../../../src/common/ports/store.js';
import { encodeArgs, hashArgs } from '../../../src/wire/codec/codec.js';
import { encodeBody, readMade } from '../../../src/wire/frames/frame-bodies.js';
import { readBody } from '../../../src/wire/frames/frame-reader.js';
import { FrameKind, type MadeBody, type MakeBody } from '../../../src/wire/frames/frames.js';
import { type Grant, mintGrant } from '../../../src/wire/grant.js';
import { verifyHandle } from '../../../src/wire/handle.js';
import { heartbeatRequestSubject } from '../../../src/wire/subjects.js';
import { momentUntil, preparedOf } from '../prepared.js';
import type { ScriptedClient } from '../scripted-client.js';
import { turns, until } from '../until.js';
import { WorkerWorld, type WorldHooks } from '../worker-world.js';

const identity = { account: 'default', app: 'demo', className: 'Basket' };

let world: WorkerWorld;
let keys: readonly SigningKey[];
let deployment: number;
let asker: ScriptedClient;
let lastRef: number;

afterEach(() => world[Symbol.asyncDispose]());

/** A worker with a container of the class, which runs one instance and has room for more. */
async function start(options: Partial<ClassOptions> = {}, hooks: WorldHooks = {}): Promise<void> {
  world = await WorkerWorld.start(hooks);
  deployment = await world.deploy('Basket', { options: { tasksPerContainer: 4, ...options } });
  keys = await world.store.keys.signingKeys('default', { id: 'x', secret: new Uint8Array(32), createdAtMs: 0 });
  asker = world.client();
  lastRef = 1_000;
}

async function startWithRoom(hooks: WorldHooks = {}): Promise<void> {
  await start({}, hooks);
  await world.alive('Basket', 'first');
}

function grant(fields: Partial<Grant> = {}, by = keys[0] as SigningKey): string {
  const { bootId } = world.worker;
  const expiresAtMs = world.clock.now() + 1_000;
  return mintGrant(by, { ...identity, deployment, bootId, role: 'call', expiresAtMs, ...fields });
}

/** What the worker makes of it; null: a router is to be asked. */
async function make(id: string, more: Partial<MakeBody> = {}): Promise<MadeBody | null> {
  lastRef += 1;
  const ref = lastRef;
  let answer: MadeBody | null | undefined;
  const take = (kind: FrameKind, frame: Buffer): void => {
    answer = kind === FrameKind.Made ? readMade(readBody(frame)) : null;
  };
  asker.answers.set(ref, { take } as never);
  asker.send(FrameKind.Make, { ref, slot: ref, body: encodeBody({ grant: grant(), id, ...more }) });
  await until(() => answer !== undefined);
  return answer as MadeBody | null;
}

function keyOf(id: string): InstanceKey {
  return instanceKey({ ...identity, id });
}

function pinOf(id: string) {
  return world.store.pins.get(keyOf(id));
}

/** A store that makes the pin of one name only when it is let go: it waits before the change, or before its answer. */
function stalling(id: string, when: 'before' | 'after') {
  let isReached = false;
  let letGo = (): void => undefined;
  const held = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const store = (inner: Store): Store => {
    const change: PinStore['change'] = async (key, what) => {
      if (what.expect !== 'none' || what.fields.identity.id !== id) return inner.pins.change(key, what);
      const changed = when === 'after' ? await inner.pins.change(key, what) : null;
      isReached = true;
      await held;
      return changed ?? (await inner.pins.change(key, what));
    };
    return { ...inner, pins: { ...inner.pins, change } };
  };
  return { store, isReached: () => isReached, letGo: () => letGo() };
}

describe('S13: a name that a client has made at a worker, on a grant', () => {
  it('is active there, and its client learns what a router would have told', async () => {
    await startWithRoom();
    const args = encodeArgs(['x']);
    const made = (await make('a', { args: Buffer.from(args) })) as MadeBody;
    const pin = await pinOf('a');
    expect(pin).toMatchObject({ state: 'active', bootId: world.worker.bootId, address: 'w1.test:1', deployment });
    expect(pin).toMatchObject({ argsHash: hashArgs(args), onLoss: 'recreate', kind: 'class', restarts: 0 });
    expect(made).toMatchObject({ key: keyOf('a'), epoch: pin?.epoch });
    expect(pin?.generation).toBe(made.epoch);
    const { account, app, className: name } = identity;
    const handle = { v: 1, kind: 'class', account, app, name, id: 'a', generation: made.epoch } as const;
    verifyHandle(keys, { ...handle, signature: made.signature });
    const answers = asker.call('work', [], { slot: lastRef });
    const container = await world.starter.container(1);
    (await container.call(1)).result('done');
    expect(await answers.value()).toBe('done');
    expect(world.starter.asked).toBe(1);
  });

  it('does not have the slot of what its client has named by it meanwhile', async () => {
    const slow = stalling('a', 'before');
    await start({}, { storeOf: slow.store });
    const { pin, container } = await world.alive('Basket', 'first');
    const making = make('a');
    await until(slow.isReached);
    asker.bind(lastRef, world.bound(pin));
    const before = asker.call('work', [], { slot: lastRef });
    slow.letGo();
    await making;
    const after = asker.call('work', [], { slot: lastRef });
    for (const number of [1, 2]) {
      const call = await container.call(number);
      expect(container.slots.get(call.slot)).toBe('first');
      call.result(number);
    }
    expect([await before.value(), await after.value()]).toEqual([1, 2]);
  });

  it('is made once, however many ask', async () => {
    await startWithRoom();
    const made = await Promise.all([make('a'), make('a'), make('a')]);
    expect(made.filter((each) => each !== null)).toHaveLength(1);
    expect((await pinOf('a'))?.transitions).toHaveLength(1);
  });

  it('is not made where it is there, placed, asleep or closed: that is for a router', async () => {
    await startWithRoom();
    const placing = await world.pinAt('Basket', 'placing');
    expect(await make('placing')).toBeNull();
    expect(await make('first')).toBeNull();
    const { pin: asleep } = await world.alive('Basket', 'asleep');
    await world.ask({ $case: 'release', value: { key: asleep.key, epoch: asleep.epoch, reason: 'redeploy' } });
    expect(await make('asleep')).toBeNull();
    const { pin: closed } = await world.alive('Basket', 'closed');
    await world.close(closed);
    expect(await make('closed')).toBeNull();
    expect(await Promise.all([placing, asleep, closed].map((pin) => world.stateOf(pin)))).toEqual([
      ...['placing', 'idle', 'closed'],
    ]);
  });

  it('is not made where nobody has granted it', async () => {
    await startWithRoom();
    const forged = grant({}, { ...(keys[0] as SigningKey), secret: new Uint8Array(32) });
    const others = [forged, 'nonsense', '', grant({ expiresAtMs: world.clock.now() }), grant({ role: 'read' })];
    const more = [grant({ bootId: 'another' as Grant['bootId'] }), grant({ account: 'somebody' })];
    for (const each of [...others, ...more, grant({ deployment: deployment + 1 }), grant({ className: 'Other' })])
      expect(await make('a', { grant: each })).toBeNull();
    expect(await pinOf('a')).toBeNull();
  });

  it('is not made with a name or arguments that a router would refuse', async () => {
    await startWithRoom();
    for (const id of ['', 'x'.repeat(2_000), 'a\nb']) expect(await make(id)).toBeNull();
    expect(await make('a', { args: Buffer.from([2, 1]) })).toBeNull();
    expect(await pinOf('a')).toBeNull();
  });

  it('costs its client the session where the frame is none', async () => {
    await startWithRoom();
    const bodies = [
      { grant: grant() },
      { id: 'a' },
      { grant: grant(), id: 'a', args: new Uint8Array(4_097) },
      { grant: 1, id: 'a' },
    ];
    for (const body of bodies) {
      const stranger = world.client();
      stranger.send(FrameKind.Make, { ref: 1, body: encodeBody(body) });
      await until(() => stranger.lost !== null);
      expect(stranger.lost?.code).toBe('InvalidArgument');
    }
    expect(await make('a')).not.toBeNull();
  });

  it('is not made where no container has room, nor in one more than it has', async () => {
    await start();
    expect(await make('a')).toBeNull();
    await world.alive('Basket', 'first');
    const made = await Promise.all(['b', 'c', 'd', 'e'].map((id) => make(id)));
    expect(made.filter((each) => each === null)).toHaveLength(1);
    expect(world.starter.asked).toBe(1);
  });

  it('has a container that is prepared where the host had memory for it at the last heartbeat, and asks for that no sooner', async () => {
    let freeMemoryMb = 4_096;
    let asked = 0;
    const memory = (): number => {
      asked += 1;
      return freeMemoryMb;
    };
    await start({ tasksPerContainer: 1, memoryMb: 512 }, { config: { warmContainers: 1 }, freeMemoryMb: memory });
    for (const id of ['a', 'b']) await world.alive('Basket', id);
    await momentUntil(world, () => preparedOf(world).length > 0);
    const before = asked;
    expect(await make('c')).not.toBeNull();
    expect(asked).toBe(before);
    await momentUntil(world, () => preparedOf(world).length > 0);
    freeMemoryMb = 100;
    world.bus.publish(heartbeatRequestSubject('default'), new Uint8Array());
    await until(() => asked > before);
    expect(await make('d')).toBeNull();
  });

  it('is not made of a class whose secrets, volumes or pool a router sees to', async () => {
    for (const options of [{ secrets: ['s'] }, { maxContainers: 2 }] as Partial<ClassOptions>[]) {
      await start();
      await world.alive('Basket', 'first');
      deployment = await world.redeploy('Basket', { options: { tasksPerContainer: 4, ...options } });
      expect(await make('a')).toBeNull();
      if (options.maxContainers === undefined) await world[Symbol.asyncDispose]();
    }
  });

  it('C10: is not made by a worker that drains', async () => {
    await startWithRoom();
    const drained = world.worker.drain();
    expect(await make('a')).toBeNull();
    await drained;
    expect(await pinOf('a')).toBeNull();
  });

  it('S4: is asked for again under the same id where the answer of the store is lost', async () => {
    const opIds: string[] = [];
    const lossy = (store: Store): Store => {
      const change: PinStore['change'] = async (key, what) => {
        const result = await store.pins.change(key, what);
        if (what.expect !== 'none') return result;
        opIds.push(what.opId);
        if (opIds.length === 1) throw new HoldfastError('Unavailable', 'it was lost', { outcome: 'unknown' });
        return result;
      };
      return { ...store, pins: { ...store.pins, change } };
    };
    await startWithRoom({ storeOf: lossy });
    const made = make('a');
    await until(() => opIds.length === 1);
    while (opIds.length < 2) {
      world.clock.advance(50);
      await turns(3);
    }
    expect(await made).toMatchObject({ epoch: (await pinOf('a'))?.epoch });
    expect(new Set(opIds).size).toBe(1);
  });

  it('is a router’s to see to where the store cannot say what is there', async () => {
    const broken = (store: Store): Store => {
      const change: PinStore['change'] = async (key, what) => {
        if (what.expect === 'none' && what.fields.identity.id === 'a')
          throw new HoldfastError('Internal', 'this is no pin record', { outcome: 'unknown' });
        return store.pins.change(key, what);
      };
      return { ...store, pins: { ...store.pins, change } };
    };
    await startWithRoom({ storeOf: broken });
    expect(await make('a')).toBeNull();
    expect(await world.worker.drain()).toBe(1);
  });

  it('S10: is on its way until it is known what became of it, at whatever epoch a router asks', async () => {
    const slow = stalling('a', 'after');
    await startWithRoom({ storeOf: slow.store });
    const made = make('a');
    await until(slow.isReached);
    const { epoch } = (await pinOf('a')) ?? { epoch: 0 };
    const instances = [{ pin: Buffer.alloc(0), key: keyOf('a'), epoch }];
    const reply = await world.ask({ $case: 'place', value: { instances } });
    slow.letGo();
    await made;
    expect(reply).toMatchObject({ value: { replies: [{ result: undefined }] } });
    const now = await world.ask({ $case: 'place', value: { instances } });
    expect(now).toMatchObject({ value: { replies: [{ result: { $case: 'active' } }] } });
  });
});
