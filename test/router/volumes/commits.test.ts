import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/adapters/system/clock.js';
import { HoldfastError } from '../../../src/common/errors.js';
import type { ObjectStore } from '../../../src/common/ports/object-store.js';
import type { CommitRecord } from '../../../src/common/ports/volume-store.js';
import { Turns } from '../../../src/common/turns.js';
import { commitVolume, rootOf } from '../../../src/common/volumes/commit.js';
import { chunksOf } from '../../../src/common/volumes/content.js';
import type { FileEntry } from '../../../src/common/volumes/entry.js';
import { find } from '../../../src/common/volumes/tree.js';
import { turns, until } from '../../runtime/until.js';
import { account, type Files, shown, VolumeWorld } from './volume-world.js';

const mebibyte = 1_048_576;
let world: VolumeWorld;
beforeEach(async () => {
  world = await VolumeWorld.start();
});
afterEach(() => world[Symbol.asyncDispose]());

describe('a commit', () => {
  it('has every file as it was written, from nothing to more than a chunk', async () => {
    const volume = await world.volume();
    const files: Record<string, Buffer> = { empty: Buffer.alloc(0), hole: Buffer.alloc(9 * mebibyte) };
    // The last byte can be a chunk of its own, and zeros would make it a hole.
    for (const bytes of [1, 4_096, 4_097, 100_000, 8 * mebibyte, 8 * mebibyte + 1])
      files[`d/${bytes}`] = Buffer.concat([randomBytes(bytes - 1), Buffer.of(1)]);
    const { commit } = await world.commit(volume, files, { message: 'first' });
    expect(await world.files(commit)).toEqual(shown(files));
    expect(commit).toMatchObject({ parent: null, message: 'first', root: { files: 8 } });
    expect(await world.head(volume)).toEqual(commit);
    expect(commit.root.bytes).toBe(Object.values(files).reduce((sum, { length }) => sum + length, 0) - 9 * mebibyte);
  });

  it('sends only what is not there: chunks that changed, and directories on the way to them', async () => {
    const volume = await world.volume();
    const big = randomBytes(24 * mebibyte);
    const first = await world.commit(volume, { big, 'other/file': randomBytes(50_000) });
    expect(first.sent.bytes).toBeGreaterThan(24 * mebibyte);
    const changed = Buffer.concat([
      big.subarray(0, 8 * mebibyte),
      Buffer.of((big[8 * mebibyte] ?? 0) ^ 1),
      big.subarray(8 * mebibyte + 1),
    ]);
    const second = await world.commit(volume, { big: changed });
    expect(second.sent.bytes).toBeGreaterThan(8 * mebibyte);
    expect(second.sent.bytes).toBeLessThan(8 * mebibyte + 10_000);
    const appended = await world.commit(volume, { big: Buffer.concat([changed, randomBytes(100_000)]) });
    expect(appended.sent.bytes).toBeLessThan(120_000);
    const copied = await world.commit(volume, { copy: changed });
    expect(copied.sent.bytes).toBeLessThan(10_000);
    expect(await world.files(copied.commit)).toMatchObject(shown({ copy: changed }));
  });

  it('sends equal parts of one commit once', async () => {
    const volume = await world.volume();
    const part = randomBytes(8 * mebibyte);
    const { sent, commit } = await world.commit(volume, { twice: Buffer.concat([part, part]), again: part });
    expect(sent.bytes).toBeLessThan(8 * mebibyte + 10_000);
    expect(await world.files(commit)).toMatchObject(shown({ twice: Buffer.concat([part, part]), again: part }));
  });

  it('is merged into what others have published since its base', async () => {
    const volume = await world.volume();
    const { commit: base } = await world.commit(volume, { a: Buffer.from('1'), 'd/b': Buffer.from('1') });
    await world.commit(volume, { 'd/b': Buffer.from('theirs'), 'd/new': Buffer.from('theirs') }, { base });
    const { commit } = await world.commit(volume, { a: Buffer.from('mine'), 'd/b': null }, { base });
    expect(await world.files(commit)).toEqual({ a: 'mine', 'd/new': 'theirs' });
    expect(commit.parent).not.toBe(base.id);
  });

  it('that shall fail at a conflict fails whole, and names the paths', async () => {
    const volume = await world.volume();
    const { commit: base } = await world.commit(volume, { a: Buffer.from('1'), b: Buffer.from('1') });
    const { commit: theirs } = await world.commit(volume, { a: Buffer.from('theirs') }, { base });
    const mine = world.commit(volume, { a: Buffer.from('mine'), b: Buffer.from('mine') }, { base, onConflict: 'fail' });
    await expect(mine).rejects.toMatchObject({ code: 'CommitConflict', details: { paths: ['a'], head: theirs.id } });
    expect(await world.head(volume)).toEqual(theirs);
    await world.commit(volume, { b: Buffer.from('mine') }, { base, onConflict: 'fail' });
    expect(await world.files(await world.head(volume))).toEqual({ a: 'theirs', b: 'mine' });
  });

  it('of many at once on one base loses no path of any', async () => {
    const volume = await world.volume();
    const { commit: base } = await world.commit(volume, { start: Buffer.from('s') });
    const writers = Array.from({ length: 12 }, (_, i) => i);
    await Promise.all(writers.map((i) => world.commit(volume, { [`d${i % 3}/f${i}`]: Buffer.from(`${i}`) }, { base })));
    const expected = Object.fromEntries(writers.map((i) => [`d${i % 3}/f${i}`, `${i}`]));
    expect(await world.files(await world.head(volume))).toEqual({ start: 's', ...expected });
    expect(await world.store.volumes.commits(account, volume.id, { limit: 100, after: null })).toHaveLength(13);
  });

  it('of many at once of one program are each tried a few times, however many there are', async () => {
    const volume = await world.volume();
    const { commit: base } = await world.commit(volume, { start: Buffer.from('s') });
    const [parts, turns] = [world.parts(), new Turns(1)];
    let tries = 0;
    const publish: typeof parts.volumes.publish = (...args) => {
      tries += 1;
      return parts.volumes.publish(...args);
    };
    const counted = { ...parts, volumes: { find: parts.volumes.find.bind(parts.volumes), publish } };
    const writers = Array.from({ length: 16 }, (_, i) => i);
    const commitOf = (i: number) =>
      world.commit(volume, { [`f${i}`]: Buffer.from(`${i}`) }, { base, turns, parts: counted });
    await Promise.all(writers.map(commitOf));
    expect(Object.keys(await world.files(await world.head(volume)))).toHaveLength(17);
    // At first, in its turn, and once more for each that was first meanwhile; all against all it would be 136.
    expect(tries).toBeLessThanOrEqual(48);
  });

  it('above the size of its volume is refused with both numbers, and publishes nothing', async () => {
    const volume = await world.volume('small', { sizeGb: 0.001 });
    await world.commit(volume, { a: randomBytes(1_000_000) });
    const second = world.commit(volume, { b: randomBytes(200_000) });
    await expect(second).rejects.toMatchObject({
      code: 'PayloadTooLarge',
      details: { bytes: 1_200_000, sizeGb: 0.001 },
    });
    expect(Object.keys(await world.files(await world.head(volume)))).toEqual(['a']);
    await world.commit(volume, { a: null, b: randomBytes(200_000) });
  });

  it('into a volume that was deleted meanwhile is refused, also where another has its name', async () => {
    const volume = await world.volume('reused');
    const { commit: base } = await world.commit(volume, { a: Buffer.from('1') });
    await world.store.volumes.delete(account, 'reused', volume.id);
    await world.volume('reused');
    await expect(world.commit(volume, { b: Buffer.from('2') }, { base })).rejects.toMatchObject({ code: 'NotFound' });
    expect((await world.store.volumes.find(account, 'reused'))?.head).toBeNull();
  });

  it('is read back by its parts, none of which is believed without its hash', async () => {
    const volume = await world.volume();
    const bytes = randomBytes(100_000);
    const { commit } = await world.commit(volume, { a: bytes });
    const entry = (await find(world.reader(), rootOf(commit, 0), ['a'])) as FileEntry;
    const [chunk] = await chunksOf(world.reader(), entry);
    const damaged = (how: (key: string, bytes: Uint8Array) => Uint8Array | null): ObjectStore => ({
      ...world.objects,
      get: async (key) => {
        const found = await world.objects.get(key);
        return found === null ? null : how(key, found);
      },
    });
    for (const change of [
      (found: Uint8Array) => found.subarray(1),
      (found: Uint8Array) => Uint8Array.from(found, (byte, i) => (i === 500 ? byte ^ 1 : byte)),
      () => null,
    ]) {
      const store = damaged((key, found) => (key.endsWith(String(chunk)) ? change(found) : found));
      await expect(world.files(commit, world.reader(store))).rejects.toMatchObject({ code: 'Internal' });
    }
    let failures = 0;
    const flaky = damaged((_key, found) => (failures++ % 2 === 0 ? found.subarray(0, 10) : found));
    expect(await world.files(commit, world.reader(flaky))).toEqual(shown({ a: bytes }));
  });
});

describe('a commit that breaks off', () => {
  /** Fails at the n-th step that reaches beyond this process; those before it happened. */
  function breaking(at: number) {
    let steps = 0;
    const step = <Args extends unknown[], T>(name: string, run: (...args: Args) => Promise<T>) => {
      return async (...args: Args): Promise<T> => {
        steps += 1;
        if (steps === at) throw new HoldfastError('Internal', `broken at ${name}, before it happened`);
        const result = await run(...args);
        if (steps === -at) throw new HoldfastError('Internal', `broken at ${name}, after it had happened`);
        return result;
      };
    };
    const { volumes, holds } = world.store;
    const parts = world.parts({
      store: {
        volumes: { ...volumes, publish: step('publish', volumes.publish), find: step('find', volumes.find) },
        holds: {
          ...holds,
          hold: step('hold', holds.hold),
          holdAlso: step('holdAlso', holds.holdAlso),
          reserve: step('reserve', holds.reserve),
        },
      },
      objects: { ...world.objects, put: step('put', world.objects.put), has: step('has', world.objects.has) },
    });
    return { parts, steps: () => steps };
  }

  it('at any of its steps leaves the old state or the new one, whole, and succeeds when it is tried again', async () => {
    const count = async (at: number, base: CommitRecord): Promise<number> => {
      const volume = await world.volume();
      const mine: Files = { 'd/big': randomBytes(100_000), 'd/small': Buffer.from('mine'), old: null };
      await world.commit(volume, { old: Buffer.from('old'), keep: Buffer.from('keep') });
      const start = await world.head(volume);
      const theirs = { other: randomBytes(70_000) };
      await world.commit(volume, theirs, { base: start });
      const { parts, steps } = breaking(at);
      const failed = await world.commit(volume, mine, { base: start, parts }).then(
        () => null,
        (error: unknown) => error,
      );
      const before = shown({ old: Buffer.from('old'), keep: Buffer.from('keep'), ...theirs });
      const after = shown({ keep: Buffer.from('keep'), ...theirs, ...mine });
      const now = await world.files(await world.head(volume));
      if (failed === null) expect(now).toEqual(after);
      else expect([before, after]).toContainEqual(now);
      await world.sweep();
      await world.commit(volume, mine, { base: start });
      expect(await world.files(await world.head(volume))).toEqual(after);
      void base;
      return steps();
    };
    const { commit } = await world.commit(await world.volume(), {});
    const steps = await count(0, commit);
    expect(steps).toBeGreaterThan(8);
    for (let at = 1; at <= steps; at++) {
      await count(at, commit);
      await count(-at, commit);
    }
  });

  it('with an answer that was lost on the way is published once', async () => {
    const volume = await world.volume();
    const { volumes } = world.store;
    let sends = 0;
    const publish: typeof volumes.publish = async (...args) => {
      const result = await volumes.publish(...args);
      if (++sends === 1) throw new HoldfastError('Unavailable', 'no answer', { outcome: 'unknown' });
      return result;
    };
    const parts = world.parts({ store: { ...world.store, volumes: { ...volumes, publish } } });
    const { commit } = await world.commit(volume, { a: Buffer.from('1') }, { parts });
    expect(sends).toBe(2);
    expect(await volumes.commits(account, volume.id, { limit: 10, after: null })).toEqual([commit]);
  });

  it('at an object store that fails now and then goes on, and at one that stays away says so', async () => {
    const volume = await world.volume();
    let calls = 0;
    const away = (): HoldfastError => new HoldfastError('Unavailable', 'the object store is away');
    const flaky = {
      ...world.objects,
      put: async (...args: Parameters<ObjectStore['put']>) => {
        if (calls++ % 3 !== 2) throw away();
        return world.objects.put(...args);
      },
    };
    const bytes = randomBytes(70_000);
    const { commit } = await world.commit(volume, { a: bytes }, { parts: world.parts({ objects: flaky }) });
    expect(await world.files(commit)).toEqual(shown({ a: bytes }));
    const gone = {
      ...world.objects,
      put: async () => {
        throw away();
      },
    };
    await expect(
      world.commit(volume, { b: randomBytes(70_000) }, { parts: world.parts({ objects: gone }) }),
    ).rejects.toMatchObject({ code: 'Unavailable' });
    expect(await world.head(volume)).toEqual(commit);
  });

  it('at an object store that stalls is given up when nothing has come through for half a minute, and says so', async () => {
    let passedMs = 0;
    world.clock = { ...systemClock, monotonic: () => systemClock.monotonic() + passedMs };
    const volume = await world.volume('stalled');
    const tries = new Map<string, number>();
    const put = async (key: string): Promise<never> => {
      const count = (tries.get(key) ?? 0) + 1;
      tries.set(key, count);
      passedMs = Math.max(passedMs, count * 25_000);
      throw new HoldfastError('Unavailable', 'the bucket did not answer', { outcome: 'unknown' });
    };
    const stalled = { ...world.objects, put };
    const bytes = randomBytes(5_000);
    const commit = world.commit(volume, { a: bytes }, { parts: world.parts({ objects: stalled }) });
    await expect(commit).rejects.toMatchObject({
      ...{ code: 'Unavailable', retryable: true, outcome: 'not-run' },
      message:
        'the commit to volume stalled failed after 50 s: the bucket did not answer; nothing of it is published, try again',
      details: { volume: 'stalled', seconds: 50 },
    });
    expect([...tries.values()][0]).toBe(2);
    expect(await world.head(volume)).toBeNull();

    // One object of several fails as often as it may, for as long as others come through.
    const others = Array.from({ length: 4 }, (_, i) => randomBytes(4_500 + i));
    let [failures, arrived] = [0, 0];
    const moving: ObjectStore = {
      ...world.objects,
      put: async (key, sent) => {
        const at = others.findIndex((other) => other.equals(sent));
        if (at >= 0) {
          await until(() => failures > at);
          await world.objects.put(key, sent);
          arrived += 1;
        } else if (bytes.equals(sent) && failures < 4) {
          failures += 1;
          passedMs += 25_000;
          await until(() => arrived === failures);
          await turns(5);
          throw new HoldfastError('Unavailable', 'the bucket did not answer', { outcome: 'unknown' });
        } else await world.objects.put(key, sent);
      },
    };
    const files = { a: bytes, ...Object.fromEntries(others.map((other, i) => [`b${i}`, other])) };
    const { commit: moved } = await world.commit(volume, files, { parts: world.parts({ objects: moving }) });
    expect([failures, await world.files(moved)]).toEqual([4, shown(files)]);
  });

  it('whose store does not answer until its hold is over may be published, and says that', async () => {
    const sleep: typeof systemClock.sleep = (ms, signal) => systemClock.sleep(Math.min(ms, 5), signal);
    world.clock = { ...systemClock, sleep };
    const volume = await world.volume();
    const { volumes, holds } = world.store;
    let sends = 0;
    const store = {
      volumes: {
        ...volumes,
        publish: async (...args: Parameters<typeof volumes.publish>) => {
          await volumes.publish(...args);
          sends += 1;
          throw new HoldfastError('Unavailable', 'no answer', { outcome: 'unknown' });
        },
      },
      holds: { ...holds, renew: async () => sends === 0 },
    };
    const commit = world.commit(volume, { a: Buffer.from('1') }, { parts: world.parts({ store }) });
    await expect(commit).rejects.toMatchObject({
      ...{ code: 'Unavailable', retryable: true, outcome: 'unknown' },
      message: expect.stringContaining(`volume ${volume.name} is published is not known`),
    });
    expect(await world.files(await world.head(volume))).toEqual({ a: '1' });
  });
});

describe('a history of commits by several writers', () => {
  it('is that of a model, with sweeps beside it, whoever starts from where', async () => {
    const path = fc.constantFrom('a', 'b', 'd/c', 'd/e', 'd/f/g');
    const content = fc.option(fc.constantFrom(1, 5_000, 70_000));
    const write = fc.record({
      files: fc.array(fc.tuple(path, content), { minLength: 1, maxLength: 3 }),
      back: fc.nat(3),
      seed: fc.nat(2),
      sweep: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(write, { maxLength: 8 }), async (writes) => {
        const volume = await world.volume();
        const states: { readonly commit: CommitRecord | null; readonly model: ReadonlyMap<string, string> }[] = [
          { commit: null, model: new Map() },
        ];
        for (const { files, back, seed, sweep } of writes) {
          const base = states[Math.max(0, states.length - 1 - back)];
          const head = states.at(-1);
          if (base === undefined || head === undefined) throw new Error('no state');
          const changes = new Map(
            files.map(([name, size]) => [name, size === null ? null : Buffer.alloc(size, `${seed}x`)]),
          );
          // What is not there in the base cannot be removed on it.
          for (const [name, bytes] of changes) if (bytes === null && !base.model.has(name)) changes.delete(name);
          if (changes.size === 0) continue;
          const [{ commit }] = await Promise.all([
            world.commit(volume, Object.fromEntries(changes), { base: base.commit }),
            sweep ? world.sweep() : null,
          ]);
          const model = new Map(head.model);
          for (const [name, bytes] of changes) {
            const text = bytes?.toString() ?? null;
            // On its own base it changed nothing: what others have made of it since stands.
            if (text === (base.model.get(name) ?? null)) continue;
            if (text === null) model.delete(name);
            else model.set(name, text);
          }
          states.push({ commit, model });
        }
        await world.sweep();
        for (const { commit, model } of states) {
          const files = Object.fromEntries([...model].map(([name, text]) => [name, Buffer.from(text)]));
          expect(await world.files(commit)).toEqual(shown(files));
        }
      }),
      { numRuns: 25 },
    );
  });
});

it('a hold that lapses under a commit fails it, and nothing of it is published', async () => {
  const volume = await world.volume();
  const { holds } = world.store;
  const parts = world.parts({
    store: { ...world.store, holds: { ...holds, hold: (of, hold) => holds.hold(of, { ...hold, ttlMs: 0 }) } },
  });
  const build = async (root: ReturnType<typeof rootOf>) => root;
  const options = { message: '', onConflict: 'fail' as const };
  const commit = commitVolume(parts, { volume, base: null }, { build, options });
  await expect(commit).rejects.toMatchObject({ code: 'Unavailable', retryable: true });
  expect(await world.head(volume)).toBeNull();
});
