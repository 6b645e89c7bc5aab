import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import type { SecretRecord } from '../../../src/common/ports/store.js';
import type { StoreUnderTest } from '../store-contract.js';

export function secretTests(context: () => StoreUnderTest): void {
  test('a secret is kept byte for byte, by account and name', async () => {
    const { secrets } = context().store;
    const record = secretOf(`account-${randomUUID()}`, 'TOKEN', 'r1');
    expect(await secrets.put(record, null)).toEqual({ applied: true });
    expect(await secrets.get(record.account, 'TOKEN')).toEqual(record);
    expect(await secrets.get(`${record.account}2`, 'TOKEN')).toBeNull();
    expect(await secrets.get(record.account, 'OTHER')).toBeNull();
  });

  test('a change is refused where another stands than it expects, and tells what stands', async () => {
    const { secrets } = context().store;
    const first = secretOf(`account-${randomUUID()}`, 'TOKEN', 'r1');
    expect(await secrets.put(first, 'r0')).toEqual({ applied: false, record: null });
    await secrets.put(first, null);
    expect(await secrets.put({ ...first, revision: 'r2' }, null)).toEqual({ applied: false, record: first });
    expect(await secrets.put({ ...first, revision: 'r2' }, 'r0')).toEqual({ applied: false, record: first });
    expect(await secrets.put({ ...first, revision: 'r2' }, 'r1')).toEqual({ applied: true });
    expect((await secrets.get(first.account, 'TOKEN'))?.revision).toBe('r2');
  });

  test('a change that is made again, as its answer was lost, counts once', async () => {
    const { secrets } = context().store;
    const record = secretOf(`account-${randomUUID()}`, 'TOKEN', 'r1');
    await secrets.put(record, null);
    expect(await secrets.put(record, null)).toEqual({ applied: true });
  });

  test('of many that make one secret at once one wins', async () => {
    const { store, connect } = context();
    const other = await connect();
    const account = `account-${randomUUID()}`;
    const results = await Promise.all(
      Array.from({ length: 12 }, (_, i) =>
        (i % 2 ? store : other).secrets.put(secretOf(account, 'RACED', `r${i}`), null),
      ),
    );
    expect(results.filter(({ applied }) => applied)).toHaveLength(1);
    await other.close();
  });

  test('secrets are listed by name and deleted once', async () => {
    const { secrets } = context().store;
    const account = `account-${randomUUID()}`;
    for (const name of ['b', 'a.2', 'c-x']) await secrets.put(secretOf(account, name, 'r'), null);
    await secrets.put(secretOf(`${account}2`, 'foreign', 'r'), null);
    expect((await secrets.list(account)).map(({ name }) => name)).toEqual(['a.2', 'b', 'c-x']);
    expect(await secrets.delete(account, 'b')).toBe(true);
    expect(await secrets.delete(account, 'b')).toBe(false);
    expect(await secrets.list('nobody')).toEqual([]);
  });
}

function secretOf(account: string, name: string, revision: string): SecretRecord {
  const wrappedKey = { keyId: 'k1', bytes: new Uint8Array([0, 255, 3]) };
  return { account, name, revision, createdAtMs: 1, updatedAtMs: 2, wrappedKey, sealed: new Uint8Array([9, 0, 128]) };
}
