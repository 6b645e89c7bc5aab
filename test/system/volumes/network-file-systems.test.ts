import { App, NetworkFileSystem, type RemoteApp, type SandboxSession } from 'holdfast';
import { startCluster, type TestCluster } from 'holdfast/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { canIsolate } from '../../isolated-test.js';
import { codeOf } from '../sandboxes/sandbox-world.js';
import { mountProcesses } from './mount-processes.js';

type LiveApp = typeof import('../../fixtures/live-app.js');

const textOf = async (nfs: NetworkFileSystem, path: string): Promise<string> => {
  const pieces: Uint8Array[] = [];
  for await (const piece of nfs.readFile(path)) pieces.push(piece);
  return Buffer.concat(pieces).toString();
};

describe.each([{ mode: 'embedded' as const }, { mode: 'real' as const }])('network file systems, $mode', ({ mode }) => {
  let cluster: TestCluster;
  let app: RemoteApp<LiveApp>;
  let shared: NetworkFileSystem;

  beforeAll(async () => {
    const isolation = canIsolate ? 'bubblewrap' : 'process';
    cluster = await startCluster({ mode, isolation, workers: 2 });
    await cluster.deploy(new URL('../../fixtures/live-app.ts', import.meta.url));
    app = await App.lookup<LiveApp>('live-test', { client: cluster.client });
    shared = NetworkFileSystem.fromName('shared', { client: cluster.client, createIfMissing: true });
  }, 120_000);

  afterAll(async () => {
    await cluster?.close();
  }, 120_000);

  const say = async (session: SandboxSession, command: string): Promise<string> =>
    (await session.exec(command, { shell: true, check: true })).stdout;
  /** On a worker each. */
  const onBoth = async (): Promise<[SandboxSession, SandboxSession, ...SandboxSession[]]> => {
    const sessions: SandboxSession[] = [];
    const workers = new Set<string>();
    for (let i = 0; workers.size < 2; i++) {
      if (i === 20) throw new Error('twenty sessions came to one worker');
      const session = await app.work.create();
      const { workerId } = await session.inspect();
      if (workers.has(workerId ?? '')) await session.close();
      else sessions.push(session);
      workers.add(workerId ?? '');
    }
    return sessions as [SandboxSession, SandboxSession];
  };

  it('are read and written by clients, with no container', async () => {
    await shared.writeFile('d/e/a.txt', 'one');
    const again = NetworkFileSystem.fromName('shared', { client: cluster.client });
    expect(await textOf(again, '/d/e/a.txt')).toBe('one');
    await again.writeFile('d/e/a.txt', Buffer.from('two'));
    await again.writeFile('d/empty', '');
    expect(await textOf(shared, 'd/e/a.txt')).toBe('two');
    expect(await textOf(shared, 'd/empty')).toBe('');
    const big = Buffer.alloc(3_000_001, 'xyz');
    await shared.writeFile('big', big);
    expect(await textOf(shared, 'big')).toBe(big.toString());
    expect(await shared.listdir('d')).toMatchObject([
      { path: 'd/e', type: 'directory' },
      { path: 'd/empty', type: 'file', size: 0 },
    ]);
    await shared.removeFile('d/empty');
    expect((await shared.listdir()).map(({ path }) => path)).toEqual(['big', 'd']);
    expect(await codeOf(textOf(shared, 'nothing'))).toBe('FileNotFound');
    expect(await codeOf(textOf(shared, 'd'))).toBe('InvalidArgument');
    expect(await codeOf(shared.removeFile('d'))).toBe('InvalidArgument');
    expect(await codeOf(shared.writeFile('big/below', 'x'))).toBe('InvalidArgument');
    for (const wrong of ['../out', '\ud800', 5, null])
      expect(await codeOf(shared.writeFile(wrong as string, 'x'))).toBe('InvalidArgument');
    const missing = NetworkFileSystem.fromName('nowhere', { client: cluster.client });
    expect(await codeOf(missing.listdir())).toBe('NotFound');
  });

  it('are listed by name, and their directories with all below, and go so', async () => {
    const choice = { client: cluster.client };
    const tree = NetworkFileSystem.fromName('a-tree', { ...choice, createIfMissing: true });
    async function* pieces() {
      for (let i = 0; i < 40; i++) yield Buffer.alloc(70_001, String.fromCharCode(97 + (i % 26)));
    }
    await tree.writeFile('d/deep/streamed', pieces());
    expect(await textOf(tree, 'd/deep/streamed')).toBe(
      Array.from({ length: 40 }, (_, i) => String.fromCharCode(97 + (i % 26)).repeat(70_001)).join(''),
    );
    await tree.writeFile('d/a', 'x');
    await tree.writeFile('e', 'x');
    expect((await tree.listdir('', { recursive: true })).map(({ path }) => path)).toEqual([
      ...['d', 'd/a', 'd/deep', 'd/deep/streamed', 'e'],
    ]);
    expect(await codeOf(tree.removeFile('d'))).toBe('InvalidArgument');
    expect(await codeOf(tree.removeFile('', { recursive: true }))).toBe('InvalidArgument');
    await tree.removeFile('d', { recursive: true });
    await tree.removeFile('e', { recursive: true });
    expect(await tree.listdir()).toEqual([]);
    const brief = await NetworkFileSystem.ephemeral(choice);
    const names = async () => (await NetworkFileSystem.list(choice)).map(({ name }) => name);
    expect(await names()).toEqual(expect.arrayContaining(['a-tree', brief.name, 'shared']));
    await brief[Symbol.asyncDispose]();
    expect(await tree.delete()).toEqual({ deleted: true });
    expect((await names()).filter((name) => name === brief.name || name === 'a-tree')).toEqual([]);
    const [found] = await NetworkFileSystem.list(choice);
    expect((await found?.listdir())?.length).toBeGreaterThan(0);
  });

  it('that are ephemeral are gone when they are disposed', async () => {
    const nfs = await NetworkFileSystem.ephemeral({ client: cluster.client });
    await nfs.writeFile('a', 'x');
    await nfs[Symbol.asyncDispose]();
    expect(await codeOf(nfs.listdir())).toBe('NotFound');
  });

  it.runIf(canIsolate)('show a write to every mount and client at once, on two workers', async () => {
    const [one, two, ...rest] = await onBoth();
    await say(one, 'echo foo > /mnt/nfs/a.txt');
    expect(await textOf(shared, 'a.txt')).toBe('foo\n');
    expect(await say(two, 'cat /mnt/nfs/a.txt')).toBe('foo\n');
    // Also who has looked at it before, and who has it open.
    const tail = two.exec(
      'exec 5< /mnt/nfs/a.txt; cat <&5; touch /mnt/nfs/open; until [ -e /mnt/nfs/more ]; do :; done; cat <&5',
      {
        shell: true,
      },
    );
    await expect.poll(async () => (await shared.listdir()).some(({ path }) => path === 'open')).toBe(true);
    await say(one, 'echo bar >> /mnt/nfs/a.txt; touch /mnt/nfs/more');
    expect((await tail).stdout).toBe('foo\nbar\n');
    await shared.writeFile('a.txt', 'by a client, longer than before');
    expect(await say(one, 'cat /mnt/nfs/a.txt; stat -c " %s" /mnt/nfs/a.txt')).toBe(
      'by a client, longer than before 31\n',
    );
    await say(two, 'mv /mnt/nfs/a.txt /mnt/nfs/b.txt; truncate -s 2 /mnt/nfs/b.txt');
    expect(await say(one, 'ls /mnt/nfs/a.txt 2>/dev/null; cat /mnt/nfs/b.txt')).toBe('by');
    await shared.removeFile('b.txt');
    expect(await say(two, 'ls /mnt/nfs/b.txt 2>/dev/null || echo gone')).toBe('gone\n');
    const lines = 'for i in $(seq 15); do echo $0.$i >> /mnt/nfs/log; done';
    await Promise.all([one.exec(['sh', '-c', lines, 'a']), two.exec(['sh', '-c', lines, 'b'])]);
    const log = (await textOf(shared, 'log')).trim().split('\n');
    expect(log).toHaveLength(30);
    expect(log.filter((line) => line.startsWith('a.'))).toEqual(Array.from({ length: 15 }, (_, i) => `a.${i + 1}`));
    // Whoever comes second opens what the first one has made.
    const same = 'for i in $(seq 20); do echo $0 >> /mnt/nfs/same.$i || exit 1; done';
    const both = await Promise.all([one.exec(['sh', '-c', same, 'a']), two.exec(['sh', '-c', same, 'b'])]);
    expect(both.map(({ exitCode }) => exitCode)).toEqual([0, 0]);
    expect(await say(one, 'cat /mnt/nfs/same.* | sort | uniq -c | tr -s " "')).toBe(' 20 a\n 20 b\n');
    for (const session of [one, two, ...rest]) await session.close();
  });

  it.runIf(canIsolate)('have what was answered, also when the processes of mounts are killed', async () => {
    const session = await app.work.create();
    const loop = 'for i in $(seq 1000); do echo $i >> /mnt/nfs/counted; done';
    // It may see errors, or its end.
    const ended = session.exec(loop, { shell: true }).catch(() => null);
    const counted = (): Promise<string> => textOf(shared, 'counted').catch(() => '');
    await expect.poll(counted, { timeout: 60_000 }).toContain('3\n');
    const answered = await counted();
    for (const pid of mountProcesses()) process.kill(pid, 'SIGKILL');
    await ended;
    const text = await counted();
    expect(text.startsWith(answered)).toBe(true);
    const kept = text.trim().split('\n');
    expect(kept).toEqual(kept.map((_, i) => String(i + 1)));
    await using next = await app.work.create();
    expect(await say(next, 'cat /mnt/nfs/counted; echo more >> /mnt/nfs/counted')).toBe(`${kept.join('\n')}\n`);
    expect(await textOf(shared, 'counted')).toBe(`${kept.join('\n')}\nmore\n`);
  });

  it.runIf(canIsolate)('are files for classes and programs, and what is not possible is refused', async () => {
    const keeper = await app.Keeper.named('one');
    await keeper.write('by-class', 'kept');
    expect(await textOf(shared, 'by-class')).toBe('kept');
    await shared.writeFile('for-class', 'newer');
    expect(await keeper.read('for-class')).toBe('newer');
    await using session = await app.work.create();
    const said = await say(
      session,
      `cd /mnt/nfs; no() { if "$@" 2>/dev/null; then echo worked: "$@"; fi; }
      mkdir -p w/x; cd w; echo 1 > a; ln -s a l; cat l; chmod 600 a; stat -c '%a %U' a; no ln a hard; no mkfifo f
      mv a x/a; no rmdir x; no mv x x/y; exec 5> gone; echo still >&5; rm gone; echo there >&5; exec 5>&-
      tar cf - -C /etc passwd | tar xf - ; cmp passwd /etc/passwd; touch -d '2001-02-03 UTC' passwd; date -ur passwd +%F
      for i in 1 2 3; do echo $i > new; mv new name; done; cat name; rm -r x l passwd name; ls; cd ..; rmdir w`,
    );
    expect(said).toBe('1\n600 user\n2001-02-03\n3\n');
    expect(await codeOf(app.broken.create().then((made) => made.pwd()))).toBe('NotFound');
    await keeper.close();
  });
});
