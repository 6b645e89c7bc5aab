import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { instanceKey } from '../../../src/common/ids.js';
import type { Pin } from '../../../src/common/pin.js';
import type { StoreUnderTest } from '../store-contract.js';
import { applied, closing, creation, next, remaking, until } from './pin-changes.js';

export function listTests(context: () => StoreUnderTest): void {
  test('pages hold the pins of one class, oldest first, until there are no more', async () => {
    const { store } = context();
    const scope = { account: 'a', app: `app-${randomUUID()}`, className: 'Counter' };
    const made: Pin[] = [];
    // Several of one millisecond, and made in another order than that of their age.
    for (const [i, createdAtMs] of [700, 300, 300, 500, 300, 100, 700, 300, 900, 600, 300].entries()) {
      const who = { ...scope, id: `id-${i}` };
      made.push(applied(await store.pins.change(instanceKey(who), creation(who, { createdAtMs }))));
    }
    for (const className of ['Other', 'Counte', 'Counter2']) {
      const who = { ...scope, className, id: 'x' };
      applied(await store.pins.change(instanceKey(who), creation(who)));
    }
    for (const limit of [1, 2, 3, 4, 11, 100]) {
      const listed: Pin[] = [];
      let after: string | null = null;
      do {
        const page = await store.pins.list(scope, { limit, after });
        expect(page.pins.length).toBeLessThanOrEqual(limit);
        listed.push(...page.pins);
        after = page.next;
      } while (after !== null);
      expect(listed.map((pin) => pin.createdAtMs)).toEqual([100, 300, 300, 300, 300, 300, 500, 600, 700, 700, 900]);
      expect(new Set(listed.map((pin) => pin.identity.id)).size).toBe(made.length);
    }
  });

  test('a listing shows the present state, leaves closed pins out and shows a remade one', async () => {
    const { store } = context();
    const scope = { account: 'a', app: `app-${randomUUID()}`, className: 'Counter' };
    const pins: Pin[] = [];
    for (const id of ['one', 'two', 'three']) {
      const who = { ...scope, id };
      pins.push(applied(await store.pins.change(instanceKey(who), creation(who))));
    }
    const [one, two, three] = pins as [Pin, Pin, Pin];
    applied(await store.pins.change(instanceKey(one.identity), next(one, 'lost')));
    const closed = applied(await store.pins.change(instanceKey(two.identity), closing(two)));
    const ids = async () =>
      (await store.pins.list(scope, { limit: 10, after: null })).pins.map((pin) => `${pin.identity.id} ${pin.state}`);
    expect((await ids()).sort()).toEqual(['one lost', 'three placing']);
    applied(await store.pins.change(instanceKey(two.identity), remaking(closed)));
    applied(await store.pins.change(instanceKey(three.identity), { ...closing(three), ttlMs: 40 }));
    await until(async () => (await store.pins.get(instanceKey(three.identity))) === null);
    expect((await ids()).sort()).toEqual(['one lost', 'two placing']);
  });

  test('names with separators in them never meet the pins of another class', async () => {
    const { store } = context();
    const app = `app-${randomUUID()}`;
    const left = { account: 'a', app: `${app}:b`, className: 'c' };
    const right = { account: 'a', app, className: 'b:c' };
    applied(await store.pins.change(instanceKey({ ...left, id: 'x' }), creation({ ...left, id: 'x' })));
    expect((await store.pins.list(left, { limit: 10, after: null })).pins).toHaveLength(1);
    expect(await store.pins.list(right, { limit: 10, after: null })).toEqual({ pins: [], next: null });
  });

  test('a page that was never given, or a limit that is none, is refused', async () => {
    const { pins } = context().store;
    const scope = { account: 'a', app: 'none', className: 'None' };
    for (const page of [
      { limit: 0, after: null },
      { limit: 1.5, after: null },
      { limit: 10, after: 'nonsense' },
    ])
      await expect(pins.list(scope, page)).rejects.toMatchObject({ code: 'InvalidArgument' });
  });
}
