import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { instanceKey } from '../../../src/common/ids.js';
import type { Pin } from '../../../src/common/pin.js';
import type { StateCommit, StateOwner } from '../../../src/common/ports/state-store.js';
import type { StoreUnderTest } from '../store-contract.js';
import { applied, closing, made, next, remaking, until } from './pin-changes.js';

export function alarmTests(context: () => StoreUnderTest): void {
  const change = async (pin: Pin, to: Pin['state'], isNext = false) =>
    applied(await context().store.pins.change(instanceKey(pin.identity), next(pin, to, isNext)));
  const active = async () => {
    const pin = await change(await made(context().store), 'active');
    return { pin, owner: ownerOf(pin) };
  };
  const commit = (owner: StateOwner, sequence: number, alarm: StateCommit['alarm']) =>
    context().store.state.commit(owner, { sequence, changes: [{ key: 'n', value: Uint8Array.of(1) }], alarm });
  const claim = async (account: string, limit = 80) =>
    (await context().store.alarms.claim(account, { limit, forMs: 60_000 })).claims;
  const account = () => `account-${randomUUID()}`;
  const past = () => Date.now() - 1_000;

  test('A1: an alarm is set, kept and deleted with the changes of its commit', async () => {
    const { state, alarms } = context().store;
    const { owner } = await active();
    expect(await state.alarm(owner)).toEqual({ alarm: null });
    await commit(owner, 1, undefined);
    expect(await alarms.get(owner.key)).toBeNull();
    await commit(owner, 2, 5_000);
    const set = { id: `${owner.epoch}.2`, atMs: 5_000, dueMs: 5_000, failures: 0 };
    expect(await alarms.get(owner.key)).toEqual(set);
    await commit(owner, 3, undefined);
    expect(await state.alarm(owner)).toEqual({ alarm: set });
    await commit(owner, 2, 9_000);
    expect(await alarms.get(owner.key)).toEqual(set);
    await commit(owner, 4, null);
    expect(await alarms.get(owner.key)).toBeNull();
  });

  test('A1, D1: an activation that is over sets, reads and ends none', async () => {
    const { state, alarms } = context().store;
    const { pin, owner } = await active();
    await commit(owner, 1, 5_000);
    const id = `${owner.epoch}.1`;
    const successor = ownerOf(await change(await change(pin, 'placing', true), 'active'));
    expect(await commit(owner, 2, 6_000)).toBe('stale');
    expect(await state.alarm(owner)).toBe('stale');
    expect(await alarms.ended(owner, id, null)).toBe('stale');
    expect((await alarms.get(owner.key))?.atMs).toBe(5_000);
    expect(await alarms.ended(successor, id, null)).toEqual({ dueMs: null });
    expect(await alarms.get(owner.key)).toBeNull();
  });

  test('A2: one that failed is due again later, and what was set meanwhile is not touched by its end', async () => {
    const { alarms } = context().store;
    const { owner } = await active();
    await commit(owner, 1, 5_000);
    const id = `${owner.epoch}.1`;
    const first = await alarms.ended(owner, id, 7_000);
    const { dueMs } = first as { dueMs: number };
    expect(Math.abs(dueMs - Date.now() - 7_000)).toBeLessThan(60_000);
    expect(await alarms.get(owner.key)).toEqual({ id, atMs: 5_000, dueMs, failures: 1 });
    await alarms.ended(owner, id, 9_000);
    expect(await alarms.get(owner.key)).toMatchObject({ atMs: 5_000, failures: 2 });
    await commit(owner, 2, 8_000);
    expect(await alarms.ended(owner, id, null)).toEqual({ dueMs: null });
    expect(await alarms.ended(owner, id, 5_000)).toEqual({ dueMs: null });
    expect(await alarms.get(owner.key)).toEqual({ id: `${owner.epoch}.2`, atMs: 8_000, dueMs: 8_000, failures: 0 });
  });

  test('A3, D5: it ends with its instance', async () => {
    const { alarms, pins } = context().store;
    const { pin, owner } = await active();
    await commit(owner, 1, 5_000);
    const closed = applied(await pins.change(owner.key, closing(await change(pin, 'closing'))));
    expect(await alarms.get(owner.key)).toBeNull();
    await change(applied(await pins.change(owner.key, remaking(closed))), 'active');
    expect(await alarms.get(owner.key)).toBeNull();
  });

  test('who is expected is claimed when the time has come, by one of many, and of its own account', async () => {
    const { store, connect } = context();
    const other = await connect();
    const [mine, foreign] = [account(), account()];
    const owners = await Promise.all(Array.from({ length: 20 }, () => active()));
    const keys = owners.map(({ owner }) => owner.key).sort();
    for (const key of keys) await store.alarms.expect(mine, key, past());
    const late = (await active()).owner.key;
    await store.alarms.expect(mine, late, Date.now() + 3_600_000);
    expect(await claim(foreign)).toEqual([]);
    const found = await Promise.all(
      [store, other].map((each) => each.alarms.claim(mine, { limit: 800, forMs: 60_000 })),
    );
    expect(found.flatMap(({ claims }) => claims.map(({ key }) => key)).sort()).toEqual(keys);
    expect(found.every(({ nowMs }) => Math.abs(nowMs - Date.now()) < 60_000)).toBe(true);
    expect(await claim(mine)).toEqual([]);
    await other.close();
  });

  test('who is expected soon is claimed before its time where that is asked for, and nobody whose time is later', async () => {
    const { alarms } = context().store;
    const of = account();
    const [soon, later] = [(await active()).owner.key, (await active()).owner.key];
    await alarms.expect(of, soon, Date.now() + 3_600_000);
    await alarms.expect(of, later, Date.now() + 36_000_000);
    expect(await claim(of)).toEqual([]);
    const { claims } = await alarms.claim(of, { limit: 80, forMs: 60_000, ahead: { fromMs: 0, withinMs: 7_200_000 } });
    expect(claims.map(({ key, isAhead }) => [key, isAhead])).toEqual([[soon, true]]);
  });

  test('of those before their time each claim goes on where the last one ended, and those that are due come first', async () => {
    const { alarms } = context().store;
    const of = account();
    const keys = await Promise.all(Array.from({ length: 24 }, async () => (await active()).owner.key));
    const soonMs = Date.now() + 3_600_000;
    for (const [i, key] of keys.entries()) await alarms.expect(of, key, soonMs + i * 1_000);
    const found: string[] = [];
    let fromMs = 0;
    let isOver = false;
    while (!isOver) {
      const ahead = { fromMs, withinMs: 7_200_000 };
      const { claims, seenMs } = await alarms.claim(of, { limit: 16, forMs: 60_000, ahead });
      // As one whose alarm is really set then.
      for (const claimed of claims) await alarms.lookAgain(of, claimed, soonMs + keys.indexOf(claimed.key) * 1_000);
      found.push(...claims.map(({ key }) => key));
      fromMs = seenMs;
      isOver = claims.length === 0;
    }
    expect(new Set(found)).toEqual(new Set(keys));
    const due = keys[0];
    if (due === undefined) throw new Error('there is none');
    await alarms.expect(of, due, past());
    const again = await alarms.claim(of, { limit: 80, forMs: 60_000, ahead: { fromMs, withinMs: 7_200_000 } });
    expect(again.claims.map(({ key, isAhead }) => [key, isAhead])).toEqual([[due, false]]);
  });

  test('a claim that nobody ends is over at its time', async () => {
    const { alarms } = context().store;
    const of = account();
    const { owner } = await active();
    await alarms.expect(of, owner.key, past());
    expect((await alarms.claim(of, { limit: 80, forMs: 20 })).claims).toHaveLength(1);
    await until(async () => (await claim(of)).length === 1);
  });

  test('whoever looked says when to look again, or that there is no need', async () => {
    const { alarms } = context().store;
    const of = account();
    const { owner } = await active();
    await alarms.expect(of, owner.key, past());
    const [first] = await claim(of);
    if (first === undefined) throw new Error('nobody is due');
    await alarms.lookAgain(of, first, past());
    const [second] = await claim(of);
    expect(second?.key).toBe(owner.key);
    if (second === undefined) throw new Error('nobody is due');
    await alarms.lookAgain(of, second, null);
    await alarms.lookAgain(of, second, past());
    expect(await claim(of)).toEqual([]);
  });

  test('A1: who is expected while somebody looks stays so, whatever that one has found', async () => {
    const { alarms } = context().store;
    for (const [inMs, isSoon] of [
      [-500, true],
      [3_600_000, false],
    ] as const) {
      const of = account();
      const { owner } = await active();
      await alarms.expect(of, owner.key, past());
      const [found] = await claim(of);
      if (found === undefined) throw new Error('nobody is due');
      await alarms.expect(of, owner.key, Date.now() + inMs);
      await alarms.lookAgain(of, found, null);
      // Where it is for later it is looked at once more when the claim is over, which is before.
      expect(await claim(of)).toHaveLength(isSoon ? 1 : 0);
      if (!isSoon) expect((await alarms.claim(of, { limit: 80, forMs: 1 })).claims).toEqual([]);
    }
  });

  test('who is expected at several times is looked at by the earliest', async () => {
    const { alarms } = context().store;
    const of = account();
    const { owner } = await active();
    for (const inMs of [3_600_000, -1_000, 7_200_000]) await alarms.expect(of, owner.key, Date.now() + inMs);
    expect(await claim(of)).toHaveLength(1);
  });
}

function ownerOf({ identity, epoch }: Pin): StateOwner {
  return { key: instanceKey(identity), epoch };
}
