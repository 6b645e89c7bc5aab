import { randomBytes } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/adapters/system/clock.js';
import type { ObjectStore } from '../../../src/common/ports/object-store.js';
import { commitVolume, rootOf } from '../../../src/common/volumes/commit.js';
import { KeptHold } from '../../../src/common/volumes/hold.js';
import { objectKey } from '../../../src/common/volumes/object-key.js';
import { sweepAccount } from '../../../src/router/volumes/sweep.js';
import { account, shown, VolumeWorld } from './volume-world.js';

let world: VolumeWorld;
beforeEach(async () => {
  world = await VolumeWorld.start();
});
afterEach(() => world[Symbol.asyncDispose]());

const keepOne = { keepCommits: 1, keepForMs: 0 };

describe('a sweep', () => {
  it('removes what no commit of a history needs, and nothing else', async () => {
    const volume = await world.volume();
    const files = { a: randomBytes(100_000), 'd/b': randomBytes(5_000) };
    await world.commit(volume, { old: randomBytes(200_000), ...files });
    const { commit } = await world.commit(volume, { old: null });
    expect(await world.sweep()).toMatchObject({ removed: 0, commitsForgotten: 0 });
    const swept = await world.sweep(keepOne);
    expect(swept).toMatchObject({ commitsForgotten: 1 });
    expect(swept.removed).toBeGreaterThan(0);
    expect(await world.keys()).toHaveLength(swept.kept);
    expect(await world.files(commit)).toEqual(shown(files));
    expect(await world.sweep(keepOne)).toMatchObject({ removed: 0 });
  });

  it('keeps what volumes share for as long as one of them needs it', async () => {
    const [first, second] = [await world.volume(), await world.volume()];
    const shared = { shared: randomBytes(90_000) };
    await world.commit(first, shared);
    await world.commit(second, shared);
    await world.store.volumes.delete(account, first.name, first.id);
    await world.sweep();
    expect(await world.files(await world.head(second))).toEqual(shown(shared));
    await world.store.volumes.delete(account, second.name, second.id);
    await world.sweep();
    expect(await world.keys()).toEqual([]);
  });

  it('keeps as many commits as it shall, also where others are published while it counts them', async () => {
    const volume = await world.volume();
    const made = [];
    for (const name of ['a', 'b', 'c']) made.push((await world.commit(volume, { [name]: randomBytes(5_000) })).commit);
    const { volumes, holds } = world.store;
    const commits: typeof volumes.commits = async (...page) => {
      const read = await volumes.commits(...page);
      if (made.length === 3) made.push((await world.commit(volume, { d: randomBytes(5_000) })).commit);
      return read;
    };
    const parts = { store: { volumes: { ...volumes, commits }, holds }, objects: world.objects, clock: systemClock };
    expect(await sweepAccount(parts, account, { keepCommits: 2, keepForMs: 0 })).toMatchObject({ commitsForgotten: 1 });
    const page = { limit: 10, after: null };
    expect(await volumes.commits(account, volume.id, page)).toEqual(made.slice(1).toReversed());
    for (const commit of made.slice(1)) expect(Object.keys(await world.files(commit))).toContain('b');
  });

  it('keeps what a commit took over from one that it has forgotten, published behind its back', async () => {
    const volume = await world.volume();
    const files = { a: randomBytes(100_000), 'd/b': randomBytes(5_000) };
    const { commit: old } = await world.commit(volume, files);
    const { commit: base } = await world.commit(volume, { a: null, 'd/b': null });
    const steps = new EventEmitter();
    const [held, historiesRead] = [once(steps, 'held'), once(steps, 'histories-read')];
    const restoring = commitVolume(
      world.parts(),
      { volume, base, source: { volumeId: volume.id, commitId: old.id } },
      {
        build: async () => {
          steps.emit('held');
          await historiesRead;
          return rootOf(old, 0);
        },
        options: { message: 'restore', onConflict: 'fail' },
      },
    );
    await held;
    const { volumes, holds } = world.store;
    const heldRoots: typeof holds.heldRoots = async (of) => {
      steps.emit('histories-read');
      await restoring;
      return await holds.heldRoots(of);
    };
    const store = { volumes, holds: { ...holds, heldRoots } };
    const parts = { store, objects: world.objects, clock: systemClock };
    expect(await sweepAccount(parts, account, keepOne)).toMatchObject({ commitsForgotten: 1 });
    expect(await volumes.commit(account, volume.id, old.id)).toBeNull();
    expect(await world.files(await world.head(volume))).toEqual(shown(files));
    await expect(
      commitVolume(
        world.parts(),
        { volume, base, source: { volumeId: volume.id, commitId: old.id } },
        { build: async () => rootOf(old, 0), options: { message: 'again', onConflict: 'fail' } },
      ),
    ).rejects.toMatchObject({ code: 'NotFound' });
  });

  it('leaves a reader every file of the commit that it holds, although the history has forgotten it', async () => {
    const volume = await world.volume();
    const files = { a: randomBytes(100_000), 'd/b': randomBytes(5_000) };
    const { commit } = await world.commit(volume, files);
    const parts = { holds: world.store.holds, clock: systemClock, account };
    const hold = await KeptHold.take(parts, 'reader', { volumeId: volume.id, commitId: commit.id });
    await world.commit(volume, { a: null, 'd/b': null });
    await world.sweep(keepOne);
    expect(await world.files(commit)).toEqual(shown(files));
    await world.store.volumes.delete(account, volume.name, volume.id);
    await world.sweep(keepOne);
    expect(await world.files(commit)).toEqual(shown(files));
    await hold.release();
    await world.sweep(keepOne);
    expect(await world.keys()).toEqual([]);
    await expect(KeptHold.take(parts, 'late', { volumeId: volume.id, commitId: commit.id })).rejects.toMatchObject({
      code: 'NotFound',
    });
  });

  it('removes nothing that a commit under way has sent or found, wherever in the sweep it begins', async () => {
    const garbage = randomBytes(80_000);
    // The step of the sweep before which the commit runs, and how far it comes there.
    for (const at of ['list', 'delete'] as const) {
      for (const isWhole of [true, false]) {
        const volume = await world.volume();
        const past = await world.volume();
        await world.commit(past, { garbage, more: randomBytes(80_000) });
        await world.store.volumes.delete(account, past.name, past.id);
        let publish: (() => void) | null = null;
        const published = new Promise<void>((resolve) => {
          publish = resolve;
        });
        const { volumes } = world.store;
        const slow: typeof volumes.publish = async (...args) => {
          if (!isWhole) await published;
          return volumes.publish(...args);
        };
        const files = { found: garbage, sent: randomBytes(70_000) };
        let committing: Promise<unknown> | null = null;
        const begin = async (): Promise<void> => {
          const parts = world.parts({ store: { ...world.store, volumes: { ...volumes, publish: slow } } });
          committing ??= world.commit(volume, files, { parts });
          if (isWhole && at === 'list') await committing;
          else for (let turns = 0; turns < 30; turns++) await new Promise((resolve) => setImmediate(resolve));
        };
        const objects: ObjectStore = {
          ...world.objects,
          delete: async (key) => {
            if (at === 'delete') await begin();
            await world.objects.delete(key);
          },
          list: async function* (folder) {
            if (at === 'list') await begin();
            yield* world.objects.list(folder);
          },
        };
        await world.sweep(undefined, objects);
        (publish as (() => void) | null)?.();
        await committing;
        expect(await world.files(await world.head(volume))).toEqual(shown(files));
        await world.sweep();
        expect(await world.files(await world.head(volume))).toEqual(shown(files));
      }
    }
  });

  it('removes nothing at all where something that a commit needs cannot be read', async () => {
    const volume = await world.volume();
    const { commit } = await world.commit(volume, { 'd/a': randomBytes(100_000) });
    const past = await world.volume();
    await world.commit(past, { garbage: randomBytes(80_000) });
    await world.store.volumes.delete(account, past.name, past.id);
    const before = await world.keys();
    const blind = {
      ...world.objects,
      get: async (key: string) => (key === objectKey(account, commit.root.hash) ? null : world.objects.get(key)),
    };
    await expect(world.sweep(undefined, blind)).rejects.toMatchObject({ code: 'Internal' });
    expect((await world.keys()).sort()).toEqual(before.sort());
    await world.sweep();
    expect(await world.files(commit)).toMatchObject({ 'd/a': expect.anything() });
  });

  it('keeps directories whose bytes are also the content of a file', async () => {
    const volume = await world.volume();
    const { commit } = await world.commit(
      volume,
      Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`d/${i}`, randomBytes(6_000)])),
    );
    const originals = await world.files(commit);
    const copies: Record<string, Buffer> = {};
    for (const [i, key] of (await world.keys()).entries()) {
      const bytes = await world.objects.get(key);
      if (bytes !== null) copies[`copy-${String(i).padStart(3, '0')}`] = Buffer.from(bytes);
    }
    await world.commit(volume, { ...copies });
    const moved = await world.head(volume);
    await world.sweep(keepOne);
    const files = await world.files(moved);
    expect(Object.keys(files)).toHaveLength(200 + Object.keys(copies).length);
    expect(files).toMatchObject(originals);
  });

  it('of an account leaves others alone, and two of one do not run together', async () => {
    const volume = await world.volume();
    await world.commit(volume, { a: randomBytes(80_000) });
    const parts = { store: world.store, objects: world.objects, clock: systemClock };
    expect(await sweepAccount(parts, 'other', keepOne)).toMatchObject({ removed: 0, kept: 0 });
    expect(await world.store.holds.beginSweep(account, 'another', 60_000)).toBe(true);
    await expect(world.sweep()).rejects.toMatchObject({ code: 'AlreadyExists' });
    await world.store.holds.endSweep(account, 'another');
    await world.sweep();
  });

  it('ends when its time at one step has passed, and what is left is found by the next', async () => {
    const past = await world.volume();
    await world.commit(past, Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`${i}`, randomBytes(5_000)])));
    await world.store.volumes.delete(account, past.name, past.id);
    let late = 0;
    world.clock = { ...systemClock, monotonic: () => systemClock.monotonic() + late };
    const slow = {
      ...world.objects,
      delete: async (key: string) => {
        await world.objects.delete(key);
        late = 31_000;
      },
    };
    const before = (await world.keys()).length;
    await expect(world.sweep(undefined, slow)).rejects.toMatchObject({ code: 'Unavailable' });
    const after = (await world.keys()).length;
    expect(after).toBeLessThan(before);
    expect(after).toBeGreaterThan(0);
    late = 0;
    await world.sweep();
    expect(await world.keys()).toEqual([]);
  });
});
