import { expect, test } from 'vitest';
import { instanceKey } from '../../../src/common/ids.js';
import type { Pin, PinChange } from '../../../src/common/pin.js';
import type { StoreUnderTest } from '../store-contract.js';
import { applied, closing, creation, draft, identity, made, next, remaking, until } from './pin-changes.js';

export function pinTests(context: () => StoreUnderTest): void {
  test('an id that was never made has no pin and no handle', async () => {
    const { pins } = context().store;
    const key = instanceKey(identity());
    expect(await pins.get(key)).toBeNull();
    expect(await pins.handle(key)).toBeNull();
    expect(await pins.change(key, closing(draft(identity())))).toEqual({ applied: false, pin: null });
  });

  test('a boot attests what it has: what the store knows better stands, what it has not heard of is written', async () => {
    const { pins } = context().store;
    const placed = await made(context().store);
    const key = instanceKey(placed.identity);
    const active: Pin = { ...placed, state: 'active', opId: 'attested' };
    expect(await pins.attest(key, active)).toBe('stands');
    expect(await pins.get(key)).toEqual(active);
    const draining = applied(await pins.change(key, next(active, 'draining')));
    expect(await pins.attest(key, active)).toBe('stands');
    expect(await pins.get(key)).toEqual(draining);
    const idle = applied(await pins.change(key, next(draining, 'idle')));
    expect(await pins.attest(key, draining)).toBe('ended');
    const elsewhere = applied(await pins.change(key, next(idle, 'placing', true)));
    expect(await pins.attest(key, draining)).toBe('superseded');
    expect(await pins.get(key)).toEqual(elsewhere);

    const unknown: Pin = { ...draft(identity()), state: 'active' };
    const unknownKey = instanceKey(unknown.identity);
    expect(await pins.attest(unknownKey, unknown)).toBe('stands');
    expect(await pins.get(unknownKey)).toEqual(unknown);
    expect(await pins.handle(unknownKey)).toEqual({ generation: 1, issuedAtMs: unknown.createdAtMs });
  });

  test('servers have names that stay as long as they run', async () => {
    const { store, connect } = context();
    const other = await connect();
    const names = await store.servers();
    expect(names.length).toBeGreaterThan(0);
    expect((await other.servers()).toSorted()).toEqual(names.toSorted());
    await other.close();
  });

  test('making an id gives it an epoch of the clock, a generation and a handle, and keeps every field', async () => {
    const { pins } = context().store;
    const who = identity({ id: 'ünïcode / "quoted"\nline' });
    const change = creation(who, { args: new Uint8Array([0, 255, 10, 128]), restarts: 3, restarted: true });
    const pin = applied(await pins.change(instanceKey(who), change));
    expect(pin.generation).toBe(pin.epoch);
    expect(Math.abs(pin.epoch / 1_000 - Date.now())).toBeLessThan(60_000);
    expect(pin).toEqual({ ...change.fields, ...pick(pin), opId: change.opId, transitions: change.transitions });
    expect(await pins.get(instanceKey(who))).toEqual(pin);
    expect(await pins.handle(instanceKey(who))).toEqual({
      generation: pin.generation,
      issuedAtMs: change.fields.createdAtMs,
    });
  });

  test('of many that make one id at once exactly one wins, and the others learn who', async () => {
    const { store, connect } = context();
    const other = await connect();
    const who = identity();
    const changes = Array.from({ length: 40 }, () => creation(who));
    const results = await Promise.all(
      changes.map((change, i) => (i % 2 ? store : other).pins.change(instanceKey(who), change)),
    );
    const winners = results.filter((result) => result.applied);
    expect(winners).toHaveLength(1);
    for (const result of results) expect(result.pin).toEqual(winners[0]?.pin);
    await other.close();
  });

  test('of many that change one pin at once exactly one wins', async () => {
    const { store, connect } = context();
    const other = await connect();
    const pin = await made(store);
    const key = instanceKey(pin.identity);
    const results = await Promise.all(
      Array.from({ length: 40 }, (_, i) => (i % 2 ? store : other).pins.change(key, next(pin, 'active'))),
    );
    expect(results.filter((result) => result.applied)).toHaveLength(1);
    expect(new Set(results.map((result) => result.pin?.opId)).size).toBe(1);
    await other.close();
  });

  test('a change that expects another epoch, generation or state is refused and shows what stands', async () => {
    const { pins } = context().store;
    const pin = await made(context().store);
    const key = instanceKey(pin.identity);
    const wrong: Pin[] = [
      { ...pin, epoch: pin.epoch - 1 },
      { ...pin, generation: pin.generation + 1 },
      { ...pin, state: 'idle' },
    ];
    for (const stale of wrong) expect(await pins.change(key, next(stale, 'active'))).toEqual({ applied: false, pin });
    expect(await pins.change(key, creation(pin.identity))).toEqual({ applied: false, pin });
    expect(await pins.get(key)).toEqual(pin);
  });

  test('a change that is asked for again with its opId is read back, not made again', async () => {
    const { pins } = context().store;
    const who = identity();
    const change = creation(who);
    const first = applied(await pins.change(instanceKey(who), change));
    expect(await pins.change(instanceKey(who), change)).toEqual({ applied: true, pin: first });
    const step = next(first, 'idle');
    const second = applied(await pins.change(instanceKey(who), step));
    expect(applied(await pins.change(instanceKey(who), step))).toEqual(second);
    expect(await pins.change(instanceKey(who), change)).toEqual({ applied: false, pin: second });
  });

  test('epochs keep or rise, and the generation stays, from one activation to the next', async () => {
    const { store } = context();
    let pin = await made(store);
    const { generation } = pin;
    for (let i = 0; i < 30; i++) {
      const active = applied(await store.pins.change(instanceKey(pin.identity), next(pin, 'active')));
      expect(active.epoch).toBe(pin.epoch);
      const again = applied(await store.pins.change(instanceKey(pin.identity), next(active, 'placing', true)));
      expect(again.epoch).toBeGreaterThan(pin.epoch);
      expect(Number.isSafeInteger(again.epoch)).toBe(true);
      expect(again.generation).toBe(generation);
      pin = again;
    }
  });

  test('an epoch rises by one when the clock of the store went back since the last', async () => {
    const { store, changeAhead } = context();
    const who = identity();
    const ahead = await changeAhead(instanceKey(who), creation(who));
    expect(ahead.epoch / 1_000).toBeGreaterThan(Date.now() + 1_800_000);
    const pin = applied(await store.pins.change(instanceKey(who), next(ahead, 'placing', true)));
    expect(pin.epoch).toBe(ahead.epoch + 1);
    expect(await store.pins.get(instanceKey(who))).toEqual(pin);
  });

  test('an id that was closed is made again at a higher generation, with a new handle', async () => {
    const { store } = context();
    const pin = await made(store);
    const key = instanceKey(pin.identity);
    const closed = applied(await store.pins.change(key, closing(pin)));
    expect((await store.pins.get(key))?.state).toBe('closed');
    expect(await store.pins.handle(key)).toEqual({ generation: pin.generation, issuedAtMs: pin.createdAtMs });

    const remade = applied(await store.pins.change(key, remaking(closed)));
    expect(remade.generation).toBeGreaterThan(pin.generation);
    expect(remade.generation).toBe(remade.epoch);
    expect(await store.pins.handle(key)).toEqual({ generation: remade.generation, issuedAtMs: remade.createdAtMs });
  });

  test('a tombstone and its handle end with their time, and the id can be made as if it were new', async () => {
    const { store } = context();
    const pin = await made(store);
    const key = instanceKey(pin.identity);
    applied(await store.pins.change(key, { ...closing(pin), ttlMs: 40 }));
    await until(async () => (await store.pins.get(key)) === null);
    expect(await store.pins.handle(key)).toBeNull();
    const again = applied(await store.pins.change(key, creation(pin.identity)));
    expect(again.generation).toBeGreaterThan(pin.generation);
    expect((await store.pins.get(key))?.state).toBe('placing');
  });

  test('a remade id outlives the time of its tombstone', async () => {
    const { store } = context();
    const pin = await made(store);
    const key = instanceKey(pin.identity);
    const other = await made(store);
    const closed = applied(await store.pins.change(key, { ...closing(pin), ttlMs: 5_000 }));
    const remade = applied(await store.pins.change(key, remaking(closed)));
    applied(await store.pins.change(instanceKey(other.identity), { ...closing(other), ttlMs: 40 }));
    await until(async () => (await store.pins.get(instanceKey(other.identity))) === null);
    expect(await store.pins.get(key)).toEqual(remade);
    expect(await store.pins.handle(key)).not.toBeNull();
  });

  test('many pins are read in the order of their keys, with gaps', async () => {
    const { store } = context();
    const pins = await Promise.all(Array.from({ length: 20 }, () => made(store)));
    const missing = instanceKey(identity());
    const keys = [...pins.map((pin) => instanceKey(pin.identity)), missing, instanceKey((pins[0] as Pin).identity)];
    expect(await store.pins.getMany(keys)).toEqual([...pins, null, pins[0]]);
    expect(await store.pins.getMany([])).toEqual([]);
  });

  test('a change that makes no sense is refused before it reaches the store', async () => {
    const { store } = context();
    const who = identity();
    const key = instanceKey(who);
    const wrong: PinChange[] = [
      { ...creation(who), epoch: 'keep' },
      { ...creation(who), opId: 'two words' },
      { ...creation(who), ttlMs: -1 },
      { ...next(draft(who), 'active'), generation: 'epoch' },
    ];
    for (const change of wrong)
      await expect(store.pins.change(key, change)).rejects.toMatchObject({ code: 'InvalidArgument' });
    expect(await store.pins.get(key)).toBeNull();
  });
}

function pick({ generation, epoch }: Pin): Pick<Pin, 'generation' | 'epoch'> {
  return { generation, epoch };
}
