import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { systemClock } from '../../../src/adapters/system/clock.js';
import type { Clock } from '../../../src/common/clock.js';
import { HoldfastError } from '../../../src/common/errors.js';
import { Refused } from '../../../src/runtime/mounts/refused.js';
import type { VolumeMount } from '../../../src/runtime/mounts/volume-mount.js';
import { at, folderAt, OverlayWorld, type Seen, seen, write } from './overlay-world.js';

const mebibyte = 1_048_576;
const ask = { message: '', onConflict: 'last-writer-wins' } as const;

type Operation =
  | {
      readonly kind: 'write';
      readonly path: string;
      readonly offset: number;
      readonly bytes: number;
      readonly fill: number;
    }
  | { readonly kind: 'truncate'; readonly path: string; readonly size: number }
  | { readonly kind: 'mkdir' | 'unlink' | 'rmdir' | 'symlink' | 'forget'; readonly path: string }
  | { readonly kind: 'rename'; readonly path: string; readonly to: string }
  | { readonly kind: 'commit' | 'reload' };

const paths = fc.constantFrom('a', 'b', 'd', 'd/a', 'd/e', 'd/e/a', 'x', 'x/a');
const offsets = fc.constantFrom(0, 7, 4_000, 65_530, 8 * mebibyte - 3, 8 * mebibyte, 9 * mebibyte);
const operations: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('write' as const),
      path: paths,
      offset: offsets,
      bytes: fc.constantFrom(1, 90, 70_000),
      fill: fc.integer({ min: 0, max: 3 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('truncate' as const), path: paths, size: offsets }) },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        'mkdir' as const,
        'unlink' as const,
        'rmdir' as const,
        'symlink' as const,
        'forget' as const,
      ),
      path: paths,
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('rename' as const), path: paths, to: paths }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom('commit' as const, 'reload' as const) }) },
);

/** Where a file system would refuse it. */
class No extends Error {}

function parentOf(path: string): string {
  return path.split('/').slice(0, -1).join('/');
}

/** What a file system does, on a map of paths. */
function modelled(model: Seen, op: Operation): void {
  const below = (path: string): string[] => [...model.keys()].filter((key) => key.startsWith(`${path}/`));
  const mustHaveParent = (path: string): void => {
    const parent = parentOf(path);
    if (parent !== '' && model.get(parent) !== null) throw new No();
  };
  switch (op.kind) {
    case 'write': {
      mustHaveParent(op.path);
      const before = model.get(op.path) ?? Buffer.alloc(0);
      if (!Buffer.isBuffer(before) || model.get(op.path) === null) throw new No();
      const after = Buffer.alloc(Math.max(before.length, op.offset + op.bytes));
      before.copy(after);
      after.fill(op.fill, op.offset, op.offset + op.bytes);
      model.set(op.path, after);
      return;
    }
    case 'truncate': {
      const before = model.get(op.path);
      if (!Buffer.isBuffer(before)) throw new No();
      const after = Buffer.alloc(op.size);
      before.copy(after);
      model.set(op.path, after);
      return;
    }
    case 'mkdir':
    case 'symlink':
      mustHaveParent(op.path);
      if (model.has(op.path)) throw new No();
      model.set(op.path, op.kind === 'mkdir' ? null : 'somewhere');
      return;
    case 'unlink':
      if (!model.has(op.path) || model.get(op.path) === null) throw new No();
      model.delete(op.path);
      return;
    case 'rmdir':
      if (model.get(op.path) !== null || below(op.path).length > 0) throw new No();
      model.delete(op.path);
      return;
    case 'rename': {
      const [from, to] = [model.get(op.path), model.get(op.to)];
      mustHaveParent(op.to);
      if (from === undefined || op.to.startsWith(`${op.path}/`)) throw new No();
      if (op.path === op.to) return;
      if (to !== undefined && (from === null) !== (to === null)) throw new No();
      if (to === null && below(op.to).length > 0) throw new No();
      for (const path of [op.path, ...below(op.path)]) {
        const what = model.get(path) as Buffer | string | null;
        model.delete(path);
        model.set(op.to + path.slice(op.path.length), what);
      }
      return;
    }
    default:
      return;
  }
}

async function done(mount: VolumeMount, op: Operation): Promise<void> {
  const { tree } = mount;
  const placeOf = async (path: string) => ({
    directory: await folderAt(mount, parentOf(path)),
    name: path.split('/').at(-1) as string,
  });
  switch (op.kind) {
    case 'write':
      return await write(mount, op.path, { bytes: Buffer.alloc(op.bytes, op.fill), offset: op.offset });
    case 'truncate': {
      const node = await at(mount, op.path);
      if (node.type !== 'file') throw new No();
      await node.content.truncate(op.size);
      return tree.wrote(node);
    }
    case 'mkdir': {
      const { directory, name } = await placeOf(op.path);
      await tree.makeDirectory(directory, name, 0o755);
      return;
    }
    case 'symlink': {
      const { directory, name } = await placeOf(op.path);
      await tree.makeSymlink(directory, name, 'somewhere');
      return;
    }
    case 'unlink':
    case 'rmdir': {
      const { directory, name } = await placeOf(op.path);
      return await tree.remove(directory, name, op.kind === 'rmdir');
    }
    case 'rename': {
      // The kernel sees to that.
      if (op.to.startsWith(`${op.path}/`)) throw new No();
      return await tree.rename(await placeOf(op.path), await placeOf(op.to), true);
    }
    case 'forget':
      return tree.forget(await at(mount, op.path), 0);
    case 'commit':
      await mount.commit(ask);
      return;
    case 'reload':
      if (!tree.isChanged) await mount.reload(false);
      return;
    default:
      op satisfies never;
  }
}

function shown(found: Seen): Record<string, string | null> {
  const text = (what: Buffer | string | null): string | null =>
    Buffer.isBuffer(what) ? `${what.length} ${createHash('sha256').update(what).digest('hex')}` : what;
  return Object.fromEntries([...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([path, what]) => [path, text(what)]));
}

test('a mount is what a file system would be, before a commit, after it, and for who mounts it next', async () => {
  await using world = await OverlayWorld.start();
  await fc.assert(
    fc.asyncProperty(fc.array(operations, { maxLength: 30 }), async (ops) => {
      const volume = await world.volumes.volume();
      const mount = await world.mount(volume, { cacheBytes: 20 * mebibyte, memoryBytes: 10_000 });
      const model: Seen = new Map();
      for (const op of ops) {
        let isRefused = false;
        const copy = new Map(model);
        try {
          modelled(copy, op);
        } catch (error) {
          if (!(error instanceof No)) throw error;
          isRefused = true;
        }
        const failure = await done(mount, op).then(
          () => null,
          (error: unknown) => error,
        );
        if (op.kind === 'forget') continue;
        expect({ op, isRefused: failure !== null }).toEqual({ op, isRefused });
        if (isRefused) continue;
        model.clear();
        for (const [path, what] of copy) model.set(path, what);
      }
      expect(shown(await seen(mount))).toEqual(shown(model));
      await mount.commit(ask);
      expect(mount.tree.isChanged).toBe(false);
      expect(shown(await seen(mount))).toEqual(shown(model));
      expect(shown(await seen(await world.mount(volume)))).toEqual(shown(model));
    }),
    { numRuns: 25 },
  );
});

test('what is written while a commit is under way is in the next one', async () => {
  await using world = await OverlayWorld.start();
  const volume = await world.volumes.volume();
  const mount = await world.mount(volume);
  await write(mount, 'big', { bytes: Buffer.alloc(mebibyte, 1) });
  await mount.tree.makeDirectory(mount.tree.root, 'd', 0o755);
  await write(mount, 'd/small', { bytes: 'before' });
  const committing = mount.commit(ask);
  // The commit has its snapshot by then, and nothing of it has been sent.
  await Promise.resolve();
  await new Promise((resolve) => setImmediate(resolve));
  await write(mount, 'big', { bytes: 'changed', offset: 10 });
  await write(mount, 'd/small', { bytes: 'after!' });
  await mount.tree.rename({ directory: mount.tree.root, name: 'd' }, { directory: mount.tree.root, name: 'e' }, true);
  await committing;
  const first = shown(await seen(await world.mount(volume)));
  const before = new Map<string, Buffer | null>([
    ['big', Buffer.alloc(mebibyte, 1)],
    ['d', null],
    ['d/small', Buffer.from('before')],
  ]);
  expect(first).toEqual(shown(before));
  expect(mount.tree.isChanged).toBe(true);
  const now = shown(await seen(mount));
  await mount.commit(ask);
  expect(shown(await seen(mount))).toEqual(now);
  expect(shown(await seen(await world.mount(volume)))).toEqual(now);
  expect((await seen(mount)).get('e/small')).toEqual(Buffer.from('after!'));
});

test('what others put where this one made, removed or moved directories meanwhile is not lost', async () => {
  await using world = await OverlayWorld.start();
  const volume = await world.volumes.volume();
  const start = { 'removed/a': 'a', 'removed/sub/b': 'b', 'moved/c': 'c', 'replaced/d': 'd', 'replaced/e': 'e' };
  const bytes = (files: Record<string, string>) =>
    Object.fromEntries(Object.entries(files).map(([path, text]) => [path, Buffer.from(text)]));
  await world.volumes.commit(volume, bytes(start));
  let isFirst = true;
  const mount = await world.mount(volume, {
    through: ({ volumes, ...rest }) => ({
      ...rest,
      volumes: {
        find: volumes.find,
        publish: async (...args) => {
          if (isFirst) await meanwhile();
          isFirst = false;
          return await volumes.publish(...args);
        },
      },
    }),
  });
  const { tree } = mount;
  const remove = async (path: string, isDirectory: boolean): Promise<void> => {
    const [above, name] = [path.split('/').slice(0, -1).join('/'), path.split('/').at(-1) as string];
    await tree.remove(await folderAt(mount, above), name, isDirectory);
  };
  const meanwhile = async (): Promise<void> => {
    for (const path of ['removed/a', 'removed/sub/b']) await remove(path, false);
    for (const path of ['removed/sub', 'removed']) await remove(path, true);
    await tree.rename({ directory: tree.root, name: 'moved' }, { directory: tree.root, name: 'gone' }, true);
    for (const path of ['replaced/d', 'replaced/e']) await remove(path, false);
    await remove('replaced', true);
    await tree.makeDirectory(tree.root, 'replaced', 0o755);
    await write(mount, 'replaced/mine', { bytes: 'mine' });
    await tree.makeDirectory(tree.root, 'made', 0o755);
    await write(mount, 'made/mine', { bytes: 'mine' });
    await write(mount, 'lock', { bytes: 'mine' });
    await remove('lock', false);
    await world.volumes.commit(volume, {
      ...bytes({ 'removed/new': 'n', 'removed/sub/new': 'n', 'moved/new': 'n', 'replaced/new': 'n', lock: 'theirs' }),
      ...bytes({ 'made/theirs': 't', 'made/deep/theirs': 't', 'replaced/e': 'changed' }),
    });
  };
  await write(mount, 'first', { bytes: '1' });
  await mount.commit(ask);
  const expected = [
    ...['first', 'gone', 'gone/c', 'lock', 'made', 'made/deep', 'made/deep/theirs', 'made/mine', 'made/theirs'],
    ...['moved', 'moved/new', 'removed', 'removed/new', 'removed/sub', 'removed/sub/new'],
    ...['replaced', 'replaced/mine', 'replaced/new'],
  ];
  expect([...(await seen(mount)).keys()].sort()).toEqual(expected.sort());
  await mount.commit(ask);
  const next = await world.mount(volume);
  expect([...(await seen(next)).keys()].sort()).toEqual(expected);
  expect((await seen(next)).get('lock')).toEqual(Buffer.from('theirs'));
  expect(mount.tree.bytes).toBe((await world.volumes.head(volume))?.root.bytes);
});

test('a commit of a mount that breaks off at any step leaves the old state or the new one, and is made when it is tried again', async () => {
  await using world = await OverlayWorld.start();
  const attempt = async (at: number): Promise<number> => {
    const volume = await world.volumes.volume();
    await world.volumes.commit(volume, { a: Buffer.from('old'), 'd/b': Buffer.from('b'), gone: Buffer.from('g') });
    let [steps, isBreaking] = [0, false];
    const step =
      <Args extends unknown[], T>(run: (...args: Args) => Promise<T>) =>
      async (...args: Args): Promise<T> => {
        if (!isBreaking) return await run(...args);
        steps += 1;
        const mine = steps;
        if (mine === at) throw new HoldfastError('Internal', 'broken before it happened');
        const result = await run(...args);
        if (mine === -at) throw new HoldfastError('Internal', 'broken after it had happened');
        return result;
      };
    const mount = await world.mount(volume, {
      through: ({ volumes, holds, objects, ...rest }) => ({
        ...rest,
        volumes: { find: step(volumes.find), publish: step(volumes.publish) },
        holds: {
          ...{ hold: step(holds.hold), holdAlso: step(holds.holdAlso), reserve: step(holds.reserve) },
          ...{ renew: holds.renew, release: holds.release },
        },
        objects: { put: step(objects.put), has: step(objects.has) },
      }),
    });
    const before = shown(await seen(mount));
    await write(mount, 'a', { bytes: 'new' });
    await write(mount, 'd/more', { bytes: Buffer.alloc(mebibyte, at + 100) });
    await mount.tree.remove(mount.tree.root, 'gone', false);
    const after = shown(await seen(mount));
    isBreaking = true;
    await mount.commit(ask).catch(() => undefined); // what it leaves is looked at
    isBreaking = false;
    expect([before, after]).toContainEqual(shown(await seen(await world.mount(volume))));
    expect(shown(await seen(mount))).toEqual(after);
    await mount.commit(ask);
    expect(shown(await seen(await world.mount(volume)))).toEqual(after);
    return steps;
  };
  const steps = await attempt(0);
  expect(steps).toBeGreaterThan(5);
  for (let at = 1; at <= steps; at++) {
    await attempt(at);
    await attempt(-at);
  }
});

test('a store that is away for a moment, at whatever a commit or a reload asks of it, is asked again', async () => {
  await using world = await OverlayWorld.start();
  const volume = await world.volumes.volume();
  let [asked, isAway] = [0, false];
  const second =
    <Args extends unknown[], T>(run: (...args: Args) => Promise<T>) =>
    async (...args: Args): Promise<T> => {
      const result = await run(...args);
      asked += 1;
      if (isAway && asked % 2 === 1) throw new HoldfastError('Unavailable', 'no answer', { outcome: 'unknown' });
      return result;
    };
  const mount = await world.mount(volume, {
    through: ({ volumes, holds, ...rest }) => ({
      ...rest,
      volumes: { ...volumes, find: second(volumes.find) },
      holds: { ...holds, hold: second(holds.hold), holdAlso: second(holds.holdAlso), reserve: second(holds.reserve) },
    }),
  });
  await write(mount, 'mine', { bytes: 'mine' });
  await world.volumes.commit(volume, { theirs: Buffer.from('theirs') });
  isAway = true;
  const id = await mount.commit(ask);
  expect((await world.volumes.head(volume))?.id).toBe(id);
  expect(await world.volumes.files(await world.volumes.head(volume))).toEqual({ mine: 'mine', theirs: 'theirs' });
  await world.volumes.commit(volume, { later: Buffer.from('later') });
  expect(await mount.reload(false)).toBe((await world.volumes.head(volume))?.id);
});

test('a commit whose store goes away once it is published is told, and held when the store is there again', async () => {
  let passedMs = 0;
  const clock: Clock = {
    ...systemClock,
    monotonic: () => systemClock.monotonic() + passedMs,
    sleep: async (ms, signal) => {
      passedMs += ms;
      await systemClock.sleep(1, signal);
    },
  };
  await using world = await OverlayWorld.start();
  const volume = await world.volumes.volume();
  let isAway = false;
  const held: (string | undefined)[] = [];
  const mount = await world.mount(volume, {
    through: ({ volumes, holds, ...rest }) => ({
      ...rest,
      clock,
      volumes: {
        find: volumes.find,
        publish: async (...args) => {
          const result = await volumes.publish(...args);
          isAway = true;
          return result;
        },
      },
      holds: {
        ...holds,
        renew: async () => true,
        hold: async (account, hold) => {
          if (isAway) throw new HoldfastError('Unavailable', 'the store is away', { outcome: 'not-run' });
          held.push(hold.commit?.commitId);
          return await holds.hold(account, hold);
        },
      },
    }),
  });
  await write(mount, 'a', { bytes: 'a' });
  const id = await mount.commit(ask);
  expect((await world.volumes.head(volume))?.id).toBe(id);
  expect(await mount.commit({ ...ask, message: '' })).toBe(id);
  expect(held).not.toContain(id);
  isAway = false;
  await mount.keepHold();
  expect(held).toContain(id);
});

test('names that are changed are bounded until a commit; what is removed makes room', async () => {
  await using world = await OverlayWorld.start();
  const volume = await world.volumes.volume();
  await world.volumes.commit(volume, Object.fromEntries([1, 2, 3, 4].map((i) => [`old${i}`, Buffer.from('x')])));
  const mount = await world.mount(volume, { maxNames: 5 });
  const { tree } = mount;
  const make = (name: string) => tree.makeFile(tree.root, name, 0o644);
  const full = { code: 'ENOSPC' };
  for (let i = 0; i < 5; i++) await make(`new${i}`);
  await expect(make('more')).rejects.toMatchObject(full);
  await expect(tree.makeDirectory(tree.root, 'more', 0o755)).rejects.toMatchObject(full);
  await expect(tree.makeSymlink(tree.root, 'more', 'x')).rejects.toMatchObject(full);
  const [from, to] = ['new0', 'more'].map((name) => ({ directory: tree.root, name }));
  await expect(tree.rename(from as NonNullable<typeof from>, to as NonNullable<typeof to>, true)).rejects.toMatchObject(
    full,
  );
  for (const name of ['old1', 'old2', 'new0']) await tree.remove(tree.root, name, false);
  await mount.commit(ask);
  await make('more');
  const folder = await tree.makeDirectory(tree.root, 'd', 0o755);
  for (let i = 0; i < 3; i++) await tree.makeFile(folder, `f${i}`, 0o644);
  await expect(make('again')).rejects.toMatchObject(full);
  for (let i = 0; i < 3; i++) await tree.remove(folder, `f${i}`, false);
  await tree.remove(tree.root, 'd', true);
  await make('again');
});

test('commits of two mounts merge, and each sees the other after its own commit or a reload', async () => {
  await using world = await OverlayWorld.start();
  const volume = await world.volumes.volume();
  const [one, two] = [await world.mount(volume), await world.mount(volume)];
  await write(one, 'both', { bytes: 'one' });
  await one.tree.makeDirectory(one.tree.root, 'd', 0o755);
  await write(one, 'd/one', { bytes: '1' });
  await one.commit(ask);
  expect([...(await seen(two)).keys()]).toEqual([]);
  await two.reload(false);
  expect([...(await seen(two)).keys()]).toEqual(['both', 'd', 'd/one']);
  await write(two, 'd/two', { bytes: '2' });
  await write(one, 'd/three', { bytes: '3' });
  await write(two, 'both', { bytes: 'two' });
  await two.commit(ask);
  await write(one, 'both', { bytes: 'ONE' });
  await one.commit(ask);
  expect([...(await seen(one)).keys()]).toEqual(['both', 'd', 'd/one', 'd/three', 'd/two']);
  expect((await seen(one)).get('both')).toEqual(Buffer.from('ONE'));
  await two.reload(false);
  expect(shown(await seen(two))).toEqual(shown(await seen(one)));
});

test('a commit that is to fail where others wrote the same path leaves everything as it is', async () => {
  await using world = await OverlayWorld.start();
  const volume = await world.volumes.volume();
  const [one, two] = [await world.mount(volume), await world.mount(volume)];
  await write(one, 'a', { bytes: 'one' });
  await write(two, 'a', { bytes: 'two' });
  await one.commit(ask);
  await expect(two.commit({ message: '', onConflict: 'fail' })).rejects.toMatchObject({ code: 'CommitConflict' });
  expect((await seen(two)).get('a')).toEqual(Buffer.from('two'));
  await expect(two.reload(false)).rejects.toMatchObject({ code: 'CommitConflict' });
  await two.reload(true);
  expect((await seen(two)).get('a')).toEqual(Buffer.from('one'));
});

test('a file that others replaced is another node after a reload, and the kernel is told its name', async () => {
  await using world = await OverlayWorld.start();
  const volume = await world.volumes.volume();
  await world.volumes.commit(volume, { 'd/a': Buffer.from('old'), 'd/b': Buffer.from('same') });
  const mount = await world.mount(volume);
  const [a, b] = [await at(mount, 'd/a'), await at(mount, 'd/b')];
  for (const node of [a, b]) node.lookups = 1;
  await world.volumes.commit(volume, { 'd/a': Buffer.from('new') });
  world.told.length = 0;
  await mount.reload(false);
  expect(world.told).toContainEqual({ parentId: (await folderAt(mount, 'd')).id, name: 'a' });
  expect(world.told.filter((one) => 'name' in one)).toHaveLength(1);
  expect(await at(mount, 'd/b')).toBe(b);
  expect(await at(mount, 'd/a')).not.toBe(a);
  // Who had it open reads on in what it was.
  expect(a.type === 'file' && (await a.content.read(0, 10)).toString()).toBe('old');
});

test('chunks come when they are read, each once, and a commit sends only those that were changed', async () => {
  await using world = await OverlayWorld.start();
  const volume = await world.volumes.volume();
  const bytes = Buffer.alloc(40 * mebibyte, 7);
  for (let chunk = 0; chunk < 5; chunk++) bytes.writeUInt32LE(chunk + 1, chunk * 8 * mebibyte);
  await world.volumes.commit(volume, { big: bytes });
  const mount = await world.mount(volume);
  const big = await at(mount, 'big');
  if (big.type !== 'file') throw new Error('big is no file');
  // As if the kernel had it open.
  big.lookups = 1;
  expect(world.fetched).toEqual([]);
  expect((await big.content.read(32 * mebibyte, 4)).readUInt32LE()).toBe(5);
  expect((await big.content.read(32 * mebibyte, 100)).length).toBe(100);
  expect(world.fetched).toHaveLength(1);
  await write(mount, 'big', { bytes: 'changed', offset: 32 * mebibyte });
  const before = (await world.volumes.keys()).length;
  await mount.commit(ask);
  const sent = (await world.volumes.keys()).length - before;
  // One chunk; lists and directories that are that short are inline in the root.
  expect(sent).toBeLessThanOrEqual(2);
  expect(world.fetched).toHaveLength(1);
  expect((await big.content.read(32 * mebibyte, 7)).toString()).toBe('changed');
  expect(world.fetched).toHaveLength(1);
});

test('a file that grows after a commit has zeros where nothing was written', async () => {
  await using world = await OverlayWorld.start();
  const volume = await world.volumes.volume();
  const mount = await world.mount(volume);
  await write(mount, 'a', { bytes: Buffer.alloc(10_000, 1) });
  await mount.commit(ask);
  await write(mount, 'a', { bytes: 'end', offset: 9 * mebibyte });
  const expected = Buffer.concat([Buffer.alloc(10_000, 1), Buffer.alloc(9 * mebibyte - 10_000), Buffer.from('end')]);
  expect(shown(await seen(mount))).toEqual(shown(new Map([['a', expected]])));
  await mount.commit(ask);
  expect(shown(await seen(await world.mount(volume)))).toEqual(shown(new Map([['a', expected]])));
});

test('files count for the limit of the volume while they have a name', async () => {
  await using world = await OverlayWorld.start();
  const mount = await world.mount(await world.volumes.volume());
  await write(mount, 'a', { bytes: Buffer.alloc(10_000, 1) });
  await write(mount, 'b', { bytes: Buffer.alloc(5_000, 1) });
  expect(mount.tree.bytes).toBe(15_000);
  await mount.tree.remove(mount.tree.root, 'a', false);
  expect(mount.tree.bytes).toBe(5_000);
  await mount.commit(ask);
  expect(mount.tree.bytes).toBe(5_000);
  await expect(mount.tree.remove(mount.tree.root, 'a', false)).rejects.toBeInstanceOf(Refused);
});
