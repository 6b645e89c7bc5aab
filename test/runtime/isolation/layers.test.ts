import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { expect } from 'vitest';
import { isHoldfastError } from '../../../src/common/errors.js';
import type { Scratch } from '../../../src/common/ports/sandbox.js';
import { bubblewrapWalls } from '../../../src/runtime/isolation/bubblewrap-start.js';
import { removeCgroups } from '../../../src/runtime/process/cgroup-tree.js';
import { isolatedTest } from '../../isolated-test.js';
import { IsolationBench, openBench } from './harness.js';

const bench = await openBench();
let layers = 0;

/** Packs a scratch and unpacks it on the host again; the folder. */
async function layerOf(scratch: Scratch, what: 'layer' | 'flat' = 'layer'): Promise<string> {
  layers += 1;
  const folder = join(bench.folder, `layer${layers}`);
  const packing = await bench.backend.pack(scratch, what);
  const unpacking = await bench.backend.unpack(folder);
  // It stops reading where the tar says that it ends.
  await pipeline(packing.output, unpacking.input).catch(() => undefined);
  await packing.done;
  await unpacking.done;
  return folder;
}

async function hashOf(scratch: Scratch): Promise<string> {
  const packing = await bench.backend.pack(scratch, 'layer');
  const hash = createHash('sha256');
  for await (const bytes of packing.output) hash.update(bytes as Buffer);
  await packing.done;
  return hash.digest('hex');
}

/** All of /home/user but its own time, with what a tar must keep of it. */
const listing = `cd /home/user && find . -mindepth 1 -printf '%P %M %n %s %T@ %l\n' | sort`;

const writing = `
  cd /home/user
  mkdir -p deep/er many; echo one > deep/one; echo two > deep/er/two; ln deep/one deep/same; ln -s /etc/passwd link
  printf x > 'a name
with lines'; echo s > secret; chmod 000 secret; chmod 500 deep/er; chmod 1777 many
  touch -d '2001-02-03 04:05:06.789' deep/one; truncate -s 5G holes; echo end >> holes
  mkfifo pipe; perl -e 'use Socket; socket(S, AF_UNIX, SOCK_STREAM, 0); bind(S, pack_sockaddr_un("socket"))'`;

isolatedTest(
  'a layer has what a sandbox wrote, and a sandbox on top of it finds and changes it as its own',
  async () => {
    const scratch = await bench.scratch();
    const { err } = await bench.shell(writing, { scratch });
    expect(err).toEqual([]);
    const before = await bench.shell(listing, { scratch });
    const folder = await layerOf(scratch);
    const above = await bench.scratch({ root: { kind: 'host', layers: [folder] } });
    const after = await bench.shell(listing, { scratch: above });
    expect(after.out).toEqual(before.out.filter((line) => !line.startsWith('socket')));
    const changes = await bench.shell(
      `cd /home/user && stat -c %u deep/one && chmod 600 secret && cat secret && echo more >> deep/one && cat deep/one &&
     tail -c 4 holes && rm link && chmod 700 deep/er && rm deep/er/two && ls deep/er`,
      { scratch: above },
    );
    expect([changes.out, changes.err]).toEqual([['1000', 's', 'one', 'more', 'end'], []]);
    expect((await bench.shell('cat /home/user/deep/one', { scratch })).out).toEqual(['one']);
  },
);

isolatedTest(
  'a layer of a layer has only what changed, with what was deleted and folders that were made anew',
  async () => {
    const first = await bench.scratch();
    await bench.shell('cd /home/user && mkdir -p a/b c && echo 1 > a/b/1 && echo 2 > c/2 && echo 3 > 3', {
      scratch: first,
    });
    const below = await layerOf(first);
    const root = { kind: 'host', layers: [below] } as const;
    const second = await bench.scratch({ root });
    await bench.shell('cd /home/user && rm 3 && rm -r a && mkdir -p a/b && echo new > a/b/new && echo 4 > 4', {
      scratch: second,
    });
    const top = await layerOf(second);
    expect(readdirSync(join(top, 'home/user')).toSorted()).toEqual(['3', '4', 'a']);
    const look = 'cd /home/user && find . -type f | sort | xargs tail -n +1';
    const seen = await bench.shell(look, { scratch: second });
    expect(seen.out.filter((line) => line.startsWith('==>'))).toEqual([
      '==> ./4 <==',
      '==> ./a/b/new <==',
      '==> ./c/2 <==',
    ]);
    const third = await bench.shell(look, { root: { kind: 'host', layers: [top, below] } });
    expect(third.out).toEqual(seen.out);
    const flat = await layerOf(second, 'flat');
    expect((await bench.shell(look, { root: { kind: 'host', layers: [flat] } })).out).toEqual(seen.out);
  },
);

isolatedTest('what a sandbox did to the files of the system is in its layer too', async () => {
  const scratch = await bench.scratch();
  await bench.shell('echo 10.0.0.1 there >> /etc/hosts; echo hi > /srv/note; rm -r /opt', { scratch });
  const root = { kind: 'host', layers: [await layerOf(scratch)] } as const;
  const { out } = await bench.shell('tail -n 1 /etc/hosts; cat /srv/note; test -e /opt || echo gone; ls /usr/bin/env', {
    root,
  });
  expect(out).toEqual(['10.0.0.1 there', 'hi', 'gone', '/usr/bin/env']);
});

isolatedTest('the same files give the same bytes, and a layer is no larger than what was written', async () => {
  const scratch = await bench.scratch();
  await bench.shell(writing, { scratch });
  expect(await hashOf(scratch)).toBe(await hashOf(scratch));
  const packing = await bench.backend.pack(scratch, 'layer');
  let bytes = 0;
  for await (const piece of packing.output) bytes += (piece as Buffer).length;
  expect(bytes).toBeLessThan(1_000_000);
});

isolatedTest('a sandbox is packed as it is at one moment while it goes on writing', async () => {
  const put = 'put() { echo $i > new; mv new $1; }; i=0; put a; put b; echo up >&3';
  const writing = `cd /home/user; ${put}; while :; do i=$((i+1)); put a; put b; done`;
  const process = await bench.start(['/bin/sh', '-c', writing]);
  await once(process.socket, 'data');
  const scratch = bench.scratches.get(process.id) as Scratch;
  const root = { kind: 'host', layers: [await layerOf(scratch)] } as const;
  const { out } = await bench.shell('cd /home/user; cat a b', { root });
  const [a, b] = out.map(Number);
  expect([a, (a as number) - 1]).toContain(b);
  await process.remove();
});

isolatedTest('neither packing nor unpacking leaves anything behind, also when it is given up', async () => {
  const scratch = await bench.scratch();
  await bench.shell('head -c 50000000 /dev/urandom > /home/user/large', { scratch });
  const disks = () => readdirSync(bench.folder, { recursive: true }).filter((name) => String(name).includes('pack-'));
  const packing = await bench.backend.pack(scratch, 'layer');
  expect(disks()).toHaveLength(1);
  packing.kill();
  packing.output.resume();
  await expect(packing.done).rejects.toSatisfy((e) => isHoldfastError(e, 'Unavailable'));
  expect(disks()).toEqual([]);
  const unpacking = await bench.backend.unpack(join(bench.folder, 'cut'));
  unpacking.input.end('this is no tar');
  await expect(unpacking.done).rejects.toSatisfy((e) => isHoldfastError(e, 'Unavailable'));
  for (const parent of bench.cgroups.parents) {
    expect(readdirSync(parent).filter((name) => name.includes('pack'))).toEqual([]);
  }
});

isolatedTest('a disk of the host that is full is told as that, by packing and by unpacking', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-full-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=48m', 'holdfast-test', folder]);
  const small = new IsolationBench(folder, `full-${process.pid}`, bubblewrapWalls);
  try {
    const scratch = await small.scratch();
    await small.shell('head -c 30000000 /dev/urandom > /home/user/large', { scratch });
    await expect(small.backend.pack(scratch, 'layer')).rejects.toSatisfy((e) => isHoldfastError(e, 'NoCapacity'));
    expect(readdirSync(folder, { recursive: true }).filter((name) => String(name).includes('pack-'))).toEqual([]);
    const large = await bench.scratch();
    await bench.shell('head -c 60000000 /dev/urandom > /home/user/large', { scratch: large });
    const packing = await bench.backend.pack(large, 'layer');
    const unpacking = await small.backend.unpack(join(folder, 'unpacked'));
    await pipeline(packing.output, unpacking.input).catch(() => undefined); // it stops reading when it fails
    await expect(unpacking.done).rejects.toSatisfy((e) => isHoldfastError(e, 'NoCapacity'));
    await packing.done.catch(() => undefined); // nobody reads it any more
  } finally {
    await small.backend.close();
    removeCgroups(small.cgroups.parents);
    execFileSync('umount', [folder]);
    await rm(folder, { recursive: true, force: true });
  }
});

isolatedTest('a tar that would leave its folder stays in it', async () => {
  const source = await bench.shell(
    `cd /tmp && mkdir in && ln -s /layer/../../../../../tmp in/link && echo x > x && tar cPf - in/link --transform 's,^x,../../escaped,' x --transform 's,^x,in/link/through,' x | base64 -w0`,
  );
  const folder = join(bench.folder, 'hostile');
  const unpacking = await bench.backend.unpack(folder);
  unpacking.input.end(Buffer.from(source.out.join(''), 'base64'));
  await unpacking.done.catch(() => undefined); // refused or harmless
  expect(readdirSync(bench.folder)).not.toContain('escaped');
  expect(readdirSync('/tmp')).not.toContain('through');
});
