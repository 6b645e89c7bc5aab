import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { expect } from 'vitest';
import { systemClock } from '../../../src/adapters/system/clock.js';
import { isolatedTest, pythonTest } from '../../isolated-test.js';
import { account } from '../../router/volumes/volume-world.js';
import { MountWorker } from './mount-worker.js';
import { MountWorld, mountedBelow, run } from './mount-world.js';

const mebibyte = 1_048_576;
const ask = { message: '', onConflict: 'last-writer-wins' } as const;

/** Has files open, a map and a directory; says 'ready', and after each line what becomes of each. */
const program = `
import errno, mmap, os, signal, sys
MB = 1 << 20
def outcome(work, right):
    try:
        got = work()
    except OSError as error:
        return errno.errorcode[error.errno]
    return 'right' if got == right else f'WRONG {got!r:.60}'
def whole(file, size):
    # The kernel gives what it has, and what became of the rest to who asks for that.
    got = b''
    while len(got) < size:
        part = os.pread(file, size - len(got), len(got))
        if part == b'': break
        got += part
    return got
def mapped(at):
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGBUS, signal.SIG_DFL)
        os._exit(3 if map[at] == ord('c') else 4)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status): return signal.Signals(os.WTERMSIG(status)).name
    return 'right' if os.WEXITSTATUS(status) == 3 else 'WRONG'
warm, cold = os.open('warm', os.O_RDONLY), os.open('cold', os.O_RDONLY)
assert whole(warm, MB) == b'w' * MB
mine = os.open('mine', os.O_RDWR | os.O_CREAT)
os.pwrite(mine, b'm' * 100, 0)
map = mmap.mmap(cold, 0, prot=mmap.PROT_READ)
here = os.open('.', os.O_RDONLY | os.O_DIRECTORY)
print('ready', flush=True)
for line in sys.stdin:
    print('warm', outcome(lambda: whole(warm, MB), b'w' * MB))
    print('cold', outcome(lambda: os.pread(cold, 10, 15 * MB), b'c' * 10))
    print('map', mapped(10 * MB))
    print('mine', outcome(lambda: os.pread(mine, 100, 0), b'm' * 100))
    print('sync', outcome(lambda: (os.pwrite(mine, b'm' * 10, 50), os.fsync(mine)), (10, None)))
    print('list', outcome(lambda: sorted(os.listdir(here)), ['cold', 'mine', 'warm']))
    print('open', outcome(lambda: os.pread(os.open('warm', os.O_RDONLY), 3, 0), b'www'))
    print('make', outcome(lambda: os.write(os.open('new', os.O_WRONLY | os.O_CREAT), b'n'), 1))
    print('name', outcome(lambda: os.rename('mine', 'moved'), None))
    print('.', flush=True)
`;

pythonTest(
  'of what is open as the process of mounts is killed nothing is read wrong, and nothing that fails looks done',
  async () => {
    await using world = await MountWorld.start();
    const volume = await world.volumes.volume();
    const files = { warm: Buffer.alloc(mebibyte, 'w'), cold: Buffer.alloc(20 * mebibyte, 'c') };
    await world.volumes.commit(volume, files);
    const { folder, lost } = await world.mount(volume);
    const child = spawn('python3', ['-c', program], { cwd: folder, stdio: ['pipe', 'pipe', 'inherit'] });
    try {
      const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
      const said = async (): Promise<Record<string, string>> => {
        const found: Record<string, string> = {};
        for (;;) {
          const { value, done } = await lines.next();
          if (done === true) throw new Error(`it ended after ${JSON.stringify(found)}`);
          if (value === 'ready' || value === '.') return found;
          const [what = '', became = ''] = value.split(/ (.*)/);
          found[what] = became;
        }
      };
      await said();
      process.kill((await world.host.pid()) as number, 'SIGKILL');
      await lost;
      const failed = expect.stringMatching(/^(ENOTCONN|ECONNABORTED|EIO|SIGBUS)$/);
      // What the kernel has in its memory is what was there.
      const rightOrFailed = expect.stringMatching(/^(right|ENOTCONN|ECONNABORTED|EIO)$/);
      const wanted = {
        ...{ warm: rightOrFailed, mine: rightOrFailed, cold: failed, map: failed, sync: failed },
        ...{ list: failed, open: failed, make: failed, name: failed },
      };
      child.stdin.write('after the kill\n');
      expect(await said()).toEqual(wanted);
      const again = await world.mount(volume);
      expect(await run(again.folder, 'ls; tr -d w < warm; tr -d c < cold; stat -c %s warm cold')).toBe(
        `cold\nwarm\n${mebibyte}\n${20 * mebibyte}\n`,
      );
      await run(again.folder, 'echo next > mine');
      await again.commit(ask);
      child.stdin.write('beside the next one\n');
      expect(await said()).toEqual(wanted);
      expect(Object.keys(await world.volumes.files(await world.volumes.head(volume)))).toEqual([
        'cold',
        'mine',
        'warm',
      ]);
    } finally {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    }
    expect(mountedBelow(world.folder)).toHaveLength(1);
  },
);

isolatedTest(
  'a worker that nothing else keeps waits for its process of mounts, however long that takes to end',
  async () => {
    await using world = await MountWorld.start();
    const volume = await world.volumes.volume();
    const worker = new MountWorker(world.options);
    const mount = await worker.mount({
      ...{ name: 'm1', account, volume: volume.name, uid: 0, whenMissing: null, isReadOnly: false, isPrivate: false },
      ...{ commitsByItself: true, owner: 'o', maxLocalBytes: 1e9 },
    });
    await run(mount.folder, 'echo kept > file');
    process.kill(mount.pid, 'SIGSTOP');
    const closed = worker.close();
    // Longer than the worker looks after it once more.
    await Promise.race([closed, systemClock.sleep(7_000)]);
    process.kill(mount.pid, 'SIGCONT');
    expect(await closed).toBe(7);
    expect(await world.volumes.files(await world.volumes.head(volume))).toEqual({ file: 'kept\n' });
  },
);
