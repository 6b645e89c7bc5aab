import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import type { HostMount } from '../../../src/runtime/mounts/mount-host.js';
import { isolatedTest, pythonTest } from '../../isolated-test.js';
import { MountWorld, mountedBelow, run } from './mount-world.js';

const mebibyte = 1_048_576;
const ask = { message: 'by hand', onConflict: 'last-writer-wins' } as const;
const project = fileURLToPath(new URL('../../..', import.meta.url));

isolatedTest('programs find the files of a volume, and what they write is in it after a commit', async () => {
  await using world = await MountWorld.start();
  const volume = await world.volumes.volume();
  await world.volumes.commit(volume, { 'd/a': Buffer.from('hello'), big: Buffer.alloc(9 * mebibyte, 'xyz') });
  const { folder, commit } = await world.mount(volume);
  expect(await run(folder, 'ls; ls d; cat d/a; md5sum < big; head -c 12 big | tail -c 3')).toBe(
    `big\nd\na\nhello${await run('/', `head -c ${9 * mebibyte} < <(yes xyz | tr -d '\\n') | md5sum`)}xyz`,
  );
  await run(folder, 'echo more >> d/a; mkdir -p e/f; mv d/a e/f/b; rmdir d; ln -s e/f/b link; chmod 640 big; cat link');
  await commit({ ...ask, message: '' });
  // Nothing is left to commit, and the message is not lost for that.
  const id = await commit(ask);
  expect([await commit(ask), await commit({ ...ask, message: '' })]).toEqual([id, id]);
  const head = await world.volumes.head(volume);
  expect(head).toMatchObject({ id, message: 'by hand' });
  expect(Object.keys(await world.volumes.files(head))).toEqual(['big', 'e/f/b']);
  const next = await world.mount(volume);
  expect(await run(next.folder, 'cat link; stat -c %a big; find . | sort')).toBe(
    'hellomore\n640\n.\n./big\n./e\n./e/f\n./e/f/b\n./link\n',
  );
});

isolatedTest('a mount is a POSIX file system, but for what it says that it is not', async () => {
  await using world = await MountWorld.start();
  const { folder } = await world.mount(await world.volumes.volume());
  const said = await run(
    folder,
    `
    no() { if "$@" 2>/dev/null; then echo worked: "$@"; fi; }
    echo one > a; mv a b; [ ! -e a ]; cat b
    echo two > a; mv a b; cat b                         # replaces
    mkdir d; echo x > d/x; no mv -T b d; no rmdir d; mkdir e; no mv -T e d
    printf 0123456789 > t; truncate -s 4 t; truncate -s 8 t; od -An -tx1 t | tr -d ' '
    printf x | dd of=t bs=1 seek=20 conv=notrunc status=none; stat -c %s t
    exec 5> gone; echo still >&5; rm gone; echo there >&5; cat /proc/self/fd/5; exec 5>&-
    echo q > q; exec 6< q; echo r > q2; mv q2 q; cat <&6; cat q
    touch -d '2001-02-03 04:05:06.789 UTC' q; TZ=UTC stat -c %y q
    no ln q hard; no mkfifo f; no setfattr -n user.a -v b q
    mkdir -p deep/$(printf 'n%.0s' $(seq 255)); no mkdir $(printf 'n%.0s' $(seq 256))
    echo ü > 'name with ünïcode'; cat 'name with ünïcode'; no touch $'\\xff'
    cd d; rm -r ../d; no touch x; cd ..
    chmod 000 q; chmod u+x q; stat -c %a q
    flock q true
  `,
  );
  expect(said.split('\n')).toEqual(
    [
      ...['one', 'two', '3031323300000000', '21', 'still', 'there', 'q', 'r', '2001-02-03 04:05:06.789000000 +0000'],
      ...['ü', '100', ''],
    ].flat(),
  );
});

isolatedTest('git, tar, sqlite and thousands of small files work on a mount as on a disk', async () => {
  await using world = await MountWorld.start();
  const volume = await world.volumes.volume();
  const { folder, commit } = await world.mount(volume);
  const git = {
    env: { GIT_AUTHOR_NAME: 'a', GIT_AUTHOR_EMAIL: 'a@b', GIT_COMMITTER_NAME: 'a', GIT_COMMITTER_EMAIL: 'a@b' },
  };
  const cloned = await run(
    folder,
    `mkdir origin; cd origin; git init -q .; tar c -C ${project} src/common docs | tar x; git add .; git commit -qm one
     cd ..; git clone -q origin copy; cd copy; git fsck --strict >&2; git status --short; git log --oneline | wc -l
     diff -r src ${project}/src/common/.. --exclude='*' ; diff -r docs ${project}/docs && echo same`,
    git,
  );
  expect(cloned).toBe('1\nsame\n');
  const small = 'for d in $(seq 30); do mkdir -p m/$d; for f in $(seq 30); do echo $d.$f > m/$d/$f; done; done';
  expect(await run(folder, `${small}; find m -type f | wc -l; cat m/*/* | sort | uniq | wc -l`)).toBe('900\n900\n');
  const sql =
    'pragma journal_mode=wal; create table t(a); begin; with recursive c(x) as (select 1 union all select x+1 from c where x<20000) insert into t select x from c; commit; delete from t where a%2; vacuum; select count(*) from t; pragma integrity_check;';
  if (await run('/', 'command -v sqlite3 || true'))
    expect(await run(folder, `sqlite3 t.db '${sql}'`)).toBe('wal\n10000\nok\n');
  await commit(ask);
  const next = await world.mount(volume);
  await run(next.folder, `cd copy; git fsck --strict; git status --short`);
  expect(await run(next.folder, 'cat m/*/* | sort | uniq | wc -l')).toBe('900\n');
  expect(await run(next.folder, 'rm -rf m copy origin; ls -A')).not.toMatch(/^(m|copy|origin)$/m);
});

pythonTest('a file is mapped into memory, read and written, by several programs', async () => {
  await using world = await MountWorld.start();
  const volume = await world.volumes.volume();
  await world.volumes.commit(volume, { map: Buffer.alloc(17 * mebibyte, 'a') });
  const { folder, commit } = await world.mount(volume);
  const script = `
import mmap, os
f = os.open('map', os.O_RDWR)
m = mmap.mmap(f, 0)
assert m[9 << 20] == 97
m[9 << 20] = 98
other = mmap.mmap(os.open('map', os.O_RDONLY), 0, prot=mmap.PROT_READ)
assert other[9 << 20] == 98
m.flush()
assert os.pread(f, 1, 9 << 20) == b'b'
m[16 << 20] = 99
`;
  await run(folder, `python3 -c "${script}"`);
  await commit(ask);
  const next = await world.mount(volume);
  expect(await run(next.folder, 'tr -d a < map; stat -c %s map')).toBe(`bc${17 * mebibyte}\n`);
});

isolatedTest('files are of the user of a mount, and nobody else comes in', async () => {
  await using world = await MountWorld.start();
  const volume = await world.volumes.volume();
  await world.volumes.commit(volume, { a: Buffer.from('a') });
  const { folder } = await world.mount(volume, { uid: 70_001 });
  expect(await run(folder, 'echo b > b; stat -c %u:%g a b', { uid: 70_001 })).toBe('70001:70001\n70001:70001\n');
  await expect(run(folder, 'touch c', { uid: 70_002 })).rejects.toThrow('Permission denied');
  await expect(run(folder, 'chown 70002 a')).rejects.toThrow('not permitted');
  const readOnly = await world.mount(volume, { isReadOnly: true });
  await expect(run(readOnly.folder, 'touch c')).rejects.toThrow('Read-only file system');
  await expect(readOnly.commit(ask)).rejects.toMatchObject({ code: 'InvalidArgument' });
});

isolatedTest(
  'what is changed is committed by itself, also of files that stay open, and when a mount ends',
  async () => {
    await using world = await MountWorld.start();
    const volume = await world.volumes.volume();
    const mount = await world.mount(volume, { commitsByItself: true });
    const writing = run(mount.folder, 'exec 5> open; echo kept >&5; while [ ! -e stop ]; do sleep 0.1; done');
    const committed = async (): Promise<Record<string, string>> =>
      await world.volumes.files(await world.volumes.head(volume));
    while ((await committed())['open'] !== 'kept\n') await new Promise((resolve) => setImmediate(resolve));
    await run(mount.folder, 'touch stop; echo last > last');
    await writing;
    await mount.detach();
    expect(await committed()).toEqual({ open: 'kept\n', stop: '', last: 'last\n' });
    const next = await world.mount(volume, { isPrivate: true, commitsByItself: true });
    await run(next.folder, 'echo mine > private');
    await next.detach();
    expect(Object.keys(await committed())).not.toContain('private');
  },
);

isolatedTest('a reload shows what others have committed, in place, and to nobody who has a file open', async () => {
  await using world = await MountWorld.start();
  const volume = await world.volumes.volume();
  await world.volumes.commit(volume, { 'd/a': Buffer.from('old'), gone: Buffer.from('g') });
  const mount = await world.mount(volume);
  await run(mount.folder, 'cat d/a gone; [ ! -e d/new ]');
  await world.volumes.commit(volume, { 'd/a': Buffer.from('newer'), 'd/new': Buffer.from('n'), gone: null });
  expect(await run(mount.folder, 'cat d/a; ls d')).toBe('olda\n');
  const reading = run(mount.folder, 'exec 5< d/a; touch ready; until [ -e go ]; do sleep 0.05; done; cat <&5; cat d/a');
  await run(mount.folder, 'until [ -e ready ]; do sleep 0.05; done');
  await expect(mount.reload(false)).rejects.toMatchObject({ code: 'CommitConflict' });
  await mount.commit(ask);
  expect(await run(mount.folder, 'cat d/a d/new; [ ! -e gone ]; touch go')).toBe('newern');
  expect(await reading).toBe('oldnewer');
});

isolatedTest('a volume that is full says so, and takes more when something was removed', async () => {
  await using world = await MountWorld.start();
  const volume = await world.volumes.volume(undefined, { sizeGb: 20 / 1024 });
  const mount = await world.mount(volume);
  await run(mount.folder, 'head -c 12000000 /dev/urandom > a');
  await expect(run(mount.folder, 'head -c 12000000 /dev/urandom > b; sync b')).rejects.toThrow('No space left');
  await expect(mount.commit(ask)).rejects.toMatchObject({ code: 'NoCapacity' });
  await mount.commit(ask);
  expect(
    await run(
      mount.folder,
      'rm a b; head -c 12000000 /dev/urandom > c; stat -c %s c; df --output=size -BM . | tail -1',
    ),
  ).toMatch(/^12000000\n\s*20M\n$/);
  await mount.commit(ask);
});

isolatedTest(
  'what is kept until a commit is bounded, also where it has no name, and who commits hears what is missing',
  async () => {
    await using world = await MountWorld.start();
    const volume = await world.volumes.volume();
    const how = { owner: 'one', maxLocalBytes: 20 * mebibyte };
    const [one, two] = [await world.mount(volume, how), await world.mount(volume, how)];
    const fill = (size: number, file: string) => `dd if=/dev/zero of=${file} bs=1M count=${size} conv=fsync`;
    await run(one.folder, fill(15, 'a'));
    expect(await run(one.folder, `df -B1 --output=avail . | tail -1`)).toBe(`${5 * mebibyte}\n`);
    await expect(run(two.folder, fill(10, 'b'))).rejects.toThrow('No space left');
    await expect(two.commit(ask)).rejects.toMatchObject({
      code: 'NoCapacity',
      message: expect.stringContaining('b ('),
    });
    await run(two.folder, 'rm b');
    await two.commit(ask);
    await run(one.folder, 'exec 5< a; rm a; if dd if=/dev/zero of=c bs=1M count=10 conv=fsync; then exit 1; fi; rm c');
    await run(one.folder, `${fill(15, 'a')}; echo kept > kept`);
    await one.commit(ask);
    await run(one.folder, fill(15, 'd'));
    expect(await run(one.folder, 'stat -c %s a d')).toBe(`${15 * mebibyte}\n${15 * mebibyte}\n`);
  },
);

pythonTest('signals that a program handles do not end its requests, and one that is killed does not wait', async () => {
  await using world = await MountWorld.start();
  const volume = await world.volumes.volume();
  await world.volumes.commit(volume, { slow: Buffer.alloc(mebibyte, 'a') });
  const { folder } = await world.mount(volume);
  const objects = join(world.volumes.folder, 'objects');
  // Whoever reads the chunk waits until somebody writes it there.
  const chunk = (await run(objects, 'find . -type f -size +1000k')).trim();
  await run(objects, `mv ${chunk} ../kept; mkfifo ${chunk}`);
  const program = `
import ctypes, os, signal
libc = ctypes.CDLL(None, use_errno=True)
signal.signal(signal.SIGALRM, lambda *_: None)
signal.siginterrupt(signal.SIGALRM, False)
signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
fd = os.open('slow', os.O_RDONLY)
room = ctypes.create_string_buffer(10)
print('reading', flush=True)
got = libc.read(fd, room, 10)
signal.setitimer(signal.ITIMER_REAL, 0)
print(got, ctypes.get_errno(), room.raw[:3].decode())`;
  const killed = run(folder, 'timeout -s KILL 1 head -c 1 slow || echo ended');
  const read = run(folder, `python3 -c "${program}"`);
  expect(await killed).toBe('ended\n');
  await run(objects, `cat ../kept > ${chunk}`);
  expect(await read).toBe('reading\n10 0 aaa\n');
});

isolatedTest('private mounts of one host fetch a chunk once, keep no copy, and do not see each other', async () => {
  await using world = await MountWorld.start();
  const volume = await world.volumes.volume();
  await world.volumes.commit(volume, { set: Buffer.alloc(mebibyte, 'a') });
  const mounts = await Promise.all(Array.from({ length: 20 }, () => world.mount(volume, { isPrivate: true })));
  const [first, ...others] = mounts as [HostMount, ...HostMount[]];
  expect(await run(first.folder, 'head -c 3 set')).toBe('aaa');
  const objects = join(world.volumes.folder, 'objects');
  await run(objects, 'find . -type f -size +1000k -delete');
  await run(first.folder, 'echo mine > mine; printf b | dd of=set conv=notrunc status=none');
  for (const { folder } of others) expect(await run(folder, 'ls; tr -d a < set | wc -c')).toBe('set\n0\n');
  expect(await run(first.folder, 'sync; head -c 2 set')).toBe('ba');
  // Of twenty, only what one of them wrote is here beside the cache.
  expect(await run(world.folder, `find . -path '*/local/*' -type f | wc -l`)).toBe('1\n');
  await expect(first.commit(ask)).rejects.toMatchObject({ code: 'InvalidArgument' });
});

isolatedTest('a mount whose last commit fails says so to whoever ends it', async () => {
  await using world = await MountWorld.start();
  const volume = await world.volumes.volume();
  const mount = await world.mount(volume, { commitsByItself: true });
  await world.volumes.store.volumes.delete(volume.account, volume.name, volume.id);
  await run(mount.folder, 'echo a > a');
  await expect(mount.detach()).rejects.toMatchObject({ code: 'NotFound' });
  const other = await world.mount(await world.volumes.volume(), { commitsByItself: true });
  process.kill((await world.host.pid()) as number, 'SIGKILL');
  await other.lost;
  await expect(other.detach()).rejects.toMatchObject({ code: 'VolumeUnavailable' });
});

isolatedTest('a process of mounts that is killed gives errors, never wrong bytes, and mounts work again', async () => {
  await using world = await MountWorld.start();
  const volume = await world.volumes.volume();
  await world.volumes.commit(volume, { a: Buffer.alloc(20 * mebibyte, 'a') });
  const mount = await world.mount(volume);
  await run(mount.folder, 'echo b > b');
  await mount.commit(ask);
  const wrong = 'exit 7';
  const reading = `while x=$(cat b); do [ "$x" = b ] || ${wrong}; if tr -d a < a | grep -q .; then ${wrong}; fi; done; exit 3`;
  const ended = (script: string): Promise<string> => run(mount.folder, script).catch(String);
  const [reader, writer] = [ended(reading), ended('while echo x >> c; do true; done; exit 3')];
  await run(mount.folder, 'until [ -e c ]; do sleep 0.05; done');
  process.kill((await world.host.pid()) as number, 'SIGKILL');
  await mount.lost;
  expect(await reader).toContain('exit code 3');
  expect(await writer).toContain('exit code 3');
  await expect(run('/', `cat ${mount.folder}/b`)).rejects.toThrow('not connected');
  await expect(mount.commit(ask)).rejects.toMatchObject({ code: 'Unavailable' });
  const again = await world.mount(volume);
  expect(await run(again.folder, 'cat b; md5sum < a')).toContain('b\n');
  expect(mountedBelow(world.folder)).toHaveLength(1);
});

isolatedTest('nothing is mounted any more, and nothing left, when a worker has ended', async () => {
  await using world = await MountWorld.start();
  const mount = await world.mount(await world.volumes.volume());
  await run(mount.folder, 'echo a > a');
  expect(mountedBelow(world.folder)).toHaveLength(1);
  await world.host.close();
  expect(mountedBelow(world.folder)).toEqual([]);
  expect(await run(world.folder, 'find . -mindepth 1')).toBe('');
});

isolatedTest('a directory of a hundred thousand files is opened by its name and listed in pieces', async () => {
  await using world = await MountWorld.start();
  const volume = await world.volumes.volume();
  const files = Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`d/file-${i}`, Buffer.from(`${i}`)]));
  await world.volumes.commit(volume, files);
  const { folder } = await world.mount(volume);
  expect(await run(folder, 'cat d/file-77777')).toBe('77777');
  expect(await run(folder, 'ls -f d | sort -u | wc -l; rm d/file-5; ls -U d | wc -l')).toBe('100002\n99999\n');
});
