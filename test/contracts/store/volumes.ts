import { createHash, randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import type { Store } from '../../../src/common/ports/store.js';
import type { CommitRecord, VolumeRecord } from '../../../src/common/ports/volume-store.js';
import type { StoreUnderTest } from '../store-contract.js';

const life = 60_000;

export function volumeTests(context: () => StoreUnderTest): void {
  const fresh = () => `account-${randomUUID()}`;

  test('of many that make one volume at once one wins, and all learn which', async () => {
    const { store, connect } = context();
    const other = await connect();
    const account = fresh();
    const made = await Promise.all(
      Array.from({ length: 10 }, (_, i) =>
        (i % 2 ? store : other).volumes.create({ ...volumeOf(account, 'raced'), id: `v${i}` }, null),
      ),
    );
    expect(made.filter(({ created }) => created)).toHaveLength(1);
    expect(new Set(made.map(({ volume }) => volume.id)).size).toBe(1);
    await other.close();
  });

  test('a volume that is made again with its own id was made before, and is kept as it is', async () => {
    const { volumes } = context().store;
    const volume = volumeOf(fresh(), 'data:{x}');
    expect(await volumes.create(volume, null)).toEqual({ created: true, volume });
    expect(await volumes.create(volume, null)).toEqual({ created: true, volume });
    expect(await volumes.find(volume.account, volume.name)).toEqual({ volume, head: null });
    expect(await volumes.find(volume.account, 'other')).toBeNull();
    expect(await volumes.find(`${volume.account}2`, volume.name)).toBeNull();
  });

  test('volumes are listed by name, and one is deleted by name and id', async () => {
    const { volumes } = context().store;
    const account = fresh();
    for (const name of ['b', 'a']) await volumes.create(volumeOf(account, name), null);
    expect((await volumes.list(account)).map(({ name }) => name)).toEqual(['a', 'b']);
    expect(await volumes.delete(account, 'a', 'another')).toBe(false);
    expect(await volumes.delete(account, 'a', 'a-id')).toBe(true);
    expect(await volumes.delete(account, 'a', 'a-id')).toBe(false);
    expect((await volumes.list(account)).map(({ name }) => name)).toEqual(['b']);
  });

  test('of many that bind a volume to a host the first one has it, until it is deleted', async () => {
    const { store, connect } = context();
    const other = await connect();
    const volume = volumeOf(fresh(), 'local');
    expect(await store.volumes.bind(volume, 'h')).toBeNull();
    await store.volumes.create(volume, null);
    expect(await store.volumes.bind(volume, null)).toBe('');
    const hosts = await Promise.all(
      Array.from({ length: 10 }, (_, i) => (i % 2 ? store : other).volumes.bind(volume, `host-${i}`)),
    );
    expect(new Set(hosts).size).toBe(1);
    expect(await other.volumes.bind(volume, null)).toBe(hosts[0]);
    expect(await store.volumes.bind({ ...volume, id: 'another' }, null)).toBeNull();
    await store.volumes.delete(volume.account, volume.name, volume.id);
    await store.volumes.create({ ...volume, id: 'next' }, null);
    expect(await store.volumes.bind({ ...volume, id: 'next' }, null)).toBe('');
    await other.close();
  });

  test('an ephemeral volume goes with its lease, and a renewed one stays', async () => {
    const { volumes } = context().store;
    const account = fresh();
    const [brief, kept] = [volumeOf(account, 'brief'), volumeOf(account, 'kept')];
    await volumes.create(brief, 1);
    await volumes.create(kept, life);
    await volumes.create(volumeOf(account, 'lasting'), null);
    expect(await volumes.extend(kept, life)).toBe(true);
    while ((await volumes.find(account, 'brief')) !== null);
    expect(await volumes.extend(brief, life)).toBe(false);
    expect(await volumes.expire(account)).toEqual(['brief']);
    expect(await volumes.expire(account)).toEqual([]);
    expect((await volumes.list(account)).map(({ name }) => name)).toEqual(['kept', 'lasting']);
  });

  test('the name of a volume whose lease is over is free', async () => {
    const { volumes } = context().store;
    const brief = volumeOf(fresh(), 'brief');
    await volumes.create(brief, 1);
    while ((await volumes.find(brief.account, 'brief')) !== null);
    expect(await volumes.create({ ...brief, id: 'second' }, null)).toMatchObject({
      created: true,
      volume: { id: 'second' },
    });
  });

  test('commits are published one after the other, and read newest first, in pages', async () => {
    const { store } = context();
    const volume = volumeOf(fresh(), 'data');
    await store.volumes.create(volume, null);
    const commits = await publishMany(store, volume, 5);
    const read = (limit: number, after: string | null) =>
      store.volumes.commits(volume.account, volume.id, { limit, after });
    expect(await read(10, null)).toEqual(commits.toReversed());
    expect(await read(2, 'c3')).toEqual([commits[2], commits[1]]);
    expect(await read(10, 'c0')).toEqual([]);
    expect(await read(10, 'never')).toEqual([]);
    expect(await store.volumes.find(volume.account, 'data')).toMatchObject({ head: commits[4] });
    expect(await store.volumes.commit(volume.account, volume.id, 'c2')).toEqual(commits[2]);
    expect(await store.volumes.commit(volume.account, volume.id, 'c9')).toBeNull();
  });

  test('of many commits on one head one is published, the others learn what stands', async () => {
    const { store, connect } = context();
    const other = await connect();
    const volume = volumeOf(fresh(), 'data');
    await store.volumes.create(volume, null);
    const [first] = await publishMany(store, volume, 1);
    const results = await Promise.all(
      Array.from({ length: 10 }, async (_, i) => {
        const through = i % 2 ? store : other;
        await through.holds.hold(volume.account, { id: `h${i}`, ttlMs: life, commit: null });
        const commit = commitOf(`raced-${i}`, first?.id ?? null);
        return await through.volumes.publish(volume, commit, { holdId: `h${i}`, expected: first?.id ?? null });
      }),
    );
    const head = (await store.volumes.find(volume.account, 'data'))?.head;
    expect(results.filter(({ outcome }) => outcome === 'published')).toHaveLength(1);
    for (const result of results) if (result.outcome === 'moved') expect(result.head).toEqual(head);
    await other.close();
  });

  test('a commit that is published again, as its answer was lost, is there once', async () => {
    const { store } = context();
    const volume = volumeOf(fresh(), 'data');
    await store.volumes.create(volume, null);
    const [first, second] = await publishMany(store, volume, 2);
    const again = await store.volumes.publish(volume, first as CommitRecord, { holdId: 'over', expected: null });
    expect(again).toEqual({ outcome: 'published' });
    expect((await store.volumes.find(volume.account, 'data'))?.head).toEqual(second);
  });

  test('nothing is published without a hold that stands, or into a volume that is gone', async () => {
    const { volumes, holds } = context().store;
    const volume = volumeOf(fresh(), 'data');
    await volumes.create(volume, null);
    const publish = (holdId: string, into = volume) =>
      volumes.publish(into, commitOf('c1', null), { holdId, expected: null });
    expect(await publish('none')).toEqual({ outcome: 'lapsed' });
    await holds.hold(volume.account, { id: 'brief', ttlMs: 0, commit: null });
    while (await holds.reserve(volume.account, 'brief', []));
    expect(await publish('brief')).toEqual({ outcome: 'lapsed' });
    expect(await holds.renew(volume.account, 'brief', life)).toBe(false);
    await holds.hold(volume.account, { id: 'good', ttlMs: life, commit: null });
    expect(await publish('good', { ...volume, id: 'an older one' })).toEqual({ outcome: 'gone' });
    expect(await publish('good', { ...volume, name: 'other' })).toEqual({ outcome: 'gone' });
    expect(await publish('good')).toEqual({ outcome: 'published' });
    expect(await publish('good', { ...volume })).toEqual({ outcome: 'published' });
    expect(await holds.renew(volume.account, 'good', life)).toBe(false);
  });

  test('old commits are forgotten, the newest never', async () => {
    const { store } = context();
    const volume = volumeOf(fresh(), 'data');
    await store.volumes.create(volume, null);
    const commits = await publishMany(store, volume, 6);
    const history = () => store.volumes.commits(volume.account, volume.id, { limit: 10, after: null });
    const forgetBefore = (id: string) => store.volumes.forgetBefore(volume.account, volume.id, id);
    expect(await forgetBefore('c2')).toBe(2);
    expect(await history()).toEqual(commits.slice(2).toReversed());
    expect(await store.volumes.commit(volume.account, volume.id, 'c1')).toBeNull();
    expect(await forgetBefore('c1')).toBe(0);
    expect(await forgetBefore('c5')).toBe(3);
    expect(await forgetBefore('c5')).toBe(0);
    expect(await history()).toEqual([commits[5]]);
    expect(
      await publishMany(store, volume, { count: 1, from: commits[5] as CommitRecord, name: 'later' }),
    ).toHaveLength(1);
    expect((await history()).map(({ id }) => id)).toEqual(['later0', 'c5']);
  });

  test('a deleted volume leaves no commits to one that takes its name', async () => {
    const { store } = context();
    const volume = volumeOf(fresh(), 'data');
    await store.volumes.create(volume, null);
    await publishMany(store, volume, 2);
    await store.volumes.delete(volume.account, volume.name, volume.id);
    expect(await store.volumes.commits(volume.account, volume.id, { limit: 10, after: null })).toEqual([]);
    await store.volumes.create({ ...volume, id: 'second' }, null);
    expect(await store.volumes.find(volume.account, 'data')).toMatchObject({ volume: { id: 'second' }, head: null });
  });
}

export function volumeOf(account: string, name: string): VolumeRecord {
  return {
    ...{ account, name, id: `${name}-id`, backend: 'cloud_bucket', sizeGb: 5, mountPathDefault: '/data' },
    ...{ geolocation: ['DE'], isEphemeral: false, createdAtMs: 7 },
  };
}

export function commitOf(id: string, parent: string | null): CommitRecord {
  const hash = createHash('sha256').update(id).digest('hex');
  const root = { hash, mode: 0o755, mtimeSeconds: 1, mtimeNanos: 999_999_999, files: 3, bytes: 2 ** 43 };
  return { id, parent, root, message: `"${id}"\n`, atMs: 5 };
}

/** Commits `c0` and on, or of another name, each on the one before. */
export async function publishMany(
  { volumes, holds }: Store,
  volume: VolumeRecord,
  make: number | { readonly count: number; readonly from: CommitRecord; readonly name: string },
): Promise<CommitRecord[]> {
  const { count, from, name } = typeof make === 'number' ? { count: make, from: null, name: 'c' } : make;
  const commits: CommitRecord[] = [];
  for (let i = 0; i < count; i++) {
    const parent = commits.at(-1)?.id ?? from?.id ?? null;
    const commit = commitOf(`${name}${i}`, parent);
    const holdId = randomUUID();
    await holds.hold(volume.account, { id: holdId, ttlMs: life, commit: null });
    const { outcome } = await volumes.publish(volume, commit, { holdId, expected: parent });
    if (outcome !== 'published') throw new Error(`${commit.id} was ${outcome}`);
    commits.push(commit);
  }
  return commits;
}
