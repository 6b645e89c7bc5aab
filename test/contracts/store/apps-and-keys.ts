import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import type { DeploymentRecord } from '../../../src/common/manifest.js';
import type { SigningKey, TokenRecord } from '../../../src/common/ports/store.js';
import type { StoreUnderTest } from '../store-contract.js';

export function appTests(context: () => StoreUnderTest): void {
  test('deployments that race get versions without gap or double, and the last is the current one', async () => {
    const { store, connect } = context();
    const other = await connect();
    const deployment = deploymentOf(`account-${randomUUID()}`, 'web');
    const published = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        (i % 2 ? store : other).apps.publish({ ...deployment, bundleSha256: `bundle-${i}` }),
      ),
    );
    expect(published.map(({ version }) => version).sort((a, b) => a - b)).toEqual(
      Array.from({ length: 20 }, (_, i) => i + 1),
    );
    expect((await store.apps.get(deployment.account, 'web'))?.version).toBe(20);
    for (const record of published)
      expect(await store.apps.get(deployment.account, 'web', record.version)).toEqual(record);
    expect(await store.apps.get(deployment.account, 'web', 21)).toBeNull();
    await other.close();
  });

  test('an account sees its own apps, by name, each at its current version', async () => {
    const { apps } = context().store;
    const account = `account-${randomUUID()}`;
    for (const app of ['web', 'api:v2', 'batch', 'web']) await apps.publish(deploymentOf(account, app));
    await apps.publish(deploymentOf(`${account}2`, 'foreign'));
    expect((await apps.list(account)).map(({ app, version }) => `${app} ${version}`)).toEqual([
      'api:v2 1',
      'batch 1',
      'web 2',
    ]);
    expect(await apps.get(account, 'none')).toBeNull();
    expect(await apps.list('nobody')).toEqual([]);
  });
}

export function keyTests(context: () => StoreUnderTest): void {
  test('of many that make the first signing key at once one wins, and all get it', async () => {
    const { store, connect } = context();
    const other = await connect();
    const account = `account-${randomUUID()}`;
    const all = await Promise.all(
      Array.from({ length: 10 }, (_, i) => (i % 2 ? store : other).keys.signingKeys(account, signingKey(i))),
    );
    for (const keys of all) expect(keys).toEqual(all[0]);
    expect(all[0]).toHaveLength(1);
    await other.close();
  });

  test('signing keys come newest first, keep their bytes, and go one by one', async () => {
    const { keys } = context().store;
    const account = `account-${randomUUID()}`;
    await keys.signingKeys(account, signingKey(1));
    await keys.addSigningKey(account, signingKey(3));
    await keys.addSigningKey(account, signingKey(2));
    expect(await keys.signingKeys(account, signingKey(9))).toEqual([signingKey(3), signingKey(2), signingKey(1)]);
    expect(await keys.removeSigningKey(account, signingKey(2).id)).toBe(true);
    expect(await keys.removeSigningKey(account, signingKey(2).id)).toBe(false);
    expect(await keys.removeSigningKey(`${account}2`, signingKey(1).id)).toBe(false);
    expect(await keys.signingKeys(account, signingKey(9))).toEqual([signingKey(3), signingKey(1)]);
  });

  test('tokens are stored, listed by age and deleted per account', async () => {
    const { keys } = context().store;
    const account = `account-${randomUUID()}`;
    const [a, b] = [tokenOf(account, 'a', 2), tokenOf(account, 'b', 1)];
    await keys.putToken(a);
    await keys.putToken(b);
    await keys.putToken(tokenOf(`${account}2`, 'c', 1));
    expect(await keys.getToken(account, 'a')).toEqual(a);
    expect(await keys.getToken(`${account}2`, 'a')).toBeNull();
    expect(await keys.listTokens(account)).toEqual([b, a]);
    expect(await keys.deleteToken(account, 'a')).toBe(true);
    expect(await keys.deleteToken(account, 'a')).toBe(false);
    expect(await keys.listTokens(account)).toEqual([b]);
  });

  test('a token is not a signing key', async () => {
    const { keys } = context().store;
    const account = `account-${randomUUID()}`;
    await keys.putToken(tokenOf(account, 'a', 1));
    expect(await keys.signingKeys(account, signingKey(1))).toEqual([signingKey(1)]);
    expect(await keys.listTokens(account)).toHaveLength(1);
  });
}

function deploymentOf(account: string, app: string): Omit<DeploymentRecord, 'version'> {
  const manifest = { app, tags: ['t'], metadata: { team: 'x' }, classes: {} };
  return { account, app, bundleSha256: 'b', createdAtMs: 1, manifest };
}

function signingKey(n: number): SigningKey {
  return { id: `key-${n}`, secret: new Uint8Array([0, n, 255]), createdAtMs: n };
}

function tokenOf(account: string, id: string, createdAtMs: number): TokenRecord {
  return { id, account, role: 'call', secretSha256: 'ab', createdAtMs, label: 'ci' };
}
