import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { isHoldfastError } from '../../../src/common/errors.js';
import type { Scratch } from '../../../src/common/ports/sandbox.js';
import { layerUser } from '../../../src/runtime/isolation/root-layers.js';
import type { DiskScratch } from '../../../src/runtime/isolation/scratch.js';
import { isolatedTest } from '../../isolated-test.js';
import { until } from '../until.js';
import { environment, openBench, usualLimits } from './harness.js';

const bench = await openBench();

/** Whether a loop device holds this file of the host open; the kernel has its path on its own file system. */
function isOnLoop(file: string): boolean {
  const name = file.slice(tmpdir().length);
  return readdirSync('/sys/block')
    .map((device) => join('/sys/block', device, 'loop/backing_file'))
    .some((path) => existsSync(path) && readFileSync(path, 'utf8').trim().endsWith(name));
}

isolatedTest('a host that can isolate passes the check', async () => {
  await bench.backend.check();
});

isolatedTest(
  'a program has no capabilities, no way to new privileges, a filter, and a user of its own on the host',
  async () => {
    const process = await bench.start(['/bin/sh', '-c', 'cat /proc/self/status; read line <&3'], {});
    const lines: string[] = [];
    process.onOutput(({ text }) => lines.push(text));
    await until(() => lines.some((line) => line.startsWith('Seccomp_filters')));
    const status = lines.join('\n');
    expect(status.match(/^Cap\w+:\t0{16}$/gm)).toHaveLength(5);
    expect(status).toMatch(/^NoNewPrivs:\t1$/m);
    expect(status).toMatch(/^Seccomp:\t2$/m);
    expect(status).toMatch(/^Uid:\t1000/m);
    expect(statSync(`/proc/${process.pid}`).uid).toBeGreaterThanOrEqual(0x7000_0000);
    await process.remove();
  },
);

isolatedTest(
  'its root is its own to write, the programs of the host are read-only, and other files of the host are not there',
  async () => {
    const { out } = await bench.shell(`
    touch /new /etc/new /home/user/new /tmp/new /opt/new && echo written
    touch /usr/new 2>/dev/null || echo usr is read-only
    ls -d /root/* /var/lib/* /mnt/* ${process.cwd()} 2>/dev/null | wc -l
    cat /etc/passwd | cut -d: -f1 | tr '\\n' ' '
    id -un; hostname`);
    expect(out).toEqual(['written', 'usr is read-only', '0', 'root user nobody user', 'sandbox']);
  },
);

isolatedTest('descriptor 3 carries bytes both ways, and no other descriptor of the worker is there', async () => {
  const process = await bench.start(['/bin/sh', '-c', 'read line <&3; echo "got $line" >&3; ls /proc/self/fd >&3']);
  process.socket.write('hello\n');
  let heard = '';
  process.socket.on('data', (bytes: Buffer) => {
    heard += bytes.toString();
  });
  expect((await process.exited).exitCode).toBe(0);
  await until(() => heard.includes('got hello'));
  // 4 is the folder that ls itself has open.
  expect(heard.split('\n').filter(Boolean)).toEqual(['got hello', '0', '1', '2', '3', '4']);
  await process.remove();
});

isolatedTest(
  'the environment inside is what was given, and nothing of it is on a command line of the host',
  async () => {
    const env = { ...environment, SECRET: 'do-not-show', LD_PRELOAD: '' };
    const process = await bench.start(['/bin/sh', '-c', 'env | sort; read line <&3'], { env });
    const lines: string[] = [];
    process.onOutput(({ text }) => lines.push(text));
    await until(() => lines.some((line) => line.startsWith('SECRET')));
    expect(await readFile(`/proc/${process.pid}/cmdline`, 'utf8')).not.toContain('do-not-show');
    expect(lines.filter((line) => !/^(HOME|LD_PRELOAD|PATH|PWD|SECRET)=/.test(line))).toEqual([]);
    await process.remove();
  },
);

isolatedTest('binds are seen at their places, read-only unless they are asked to be writable', async () => {
  const [source, writable] = [join(bench.folder, 'with space'), join(bench.folder, 'writable')];
  for (const folder of [source, writable]) await mkdir(folder, { mode: 0o777 });
  await writeFile(join(source, 'file'), 'content');
  const binds = [
    { source, target: '/data/deep' },
    { source: join(source, 'file'), target: '/opt/one-file' },
  ];
  const { out } = await bench.shell(
    'cat /data/deep/file /opt/one-file; echo; touch /data/deep/new 2>/dev/null || echo read-only',
    { binds },
  );
  expect(out).toEqual(['contentcontent', 'read-only']);
});

isolatedTest('an image is the root, all of it writable to nobody but this sandbox', async () => {
  const [base, top] = [join(bench.folder, 'base'), join(bench.folder, 'top:with,signs')];
  for (const folder of [join(base, 'srv'), join(top, 'srv')]) await mkdir(folder, { recursive: true });
  await writeFile(join(base, 'srv/both'), 'base');
  await writeFile(join(base, 'srv/below'), 'below');
  await writeFile(join(top, 'srv/both'), 'top');
  for (const folder of [base, top]) execFileSync('chown', ['-R', `${layerUser}:${layerUser}`, folder]);
  const host = ['usr', 'bin', 'lib', 'lib64'].filter((name) => existsSync(`/${name}`));
  const binds = host.map((name) => ({ source: `/${name}`, target: `/${name}` }));
  const root = { kind: 'image', layers: [top, base] } as const;
  const { out, err } = await bench.shell(
    'cat /srv/both /srv/below; echo; mkdir -p /home/user; echo mine > /home/user/new && cat /home/user/new',
    {
      binds,
      root,
    },
  );
  expect([out, err]).toEqual([['topbelow', 'mine'], []]);
  expect(readdirSync(base)).toEqual(['srv']);
});

isolatedTest('what was written outlives the processes, and goes with its scratch', async () => {
  const scratch = await bench.scratch();
  await bench.shell('echo kept > /home/user/file; ln -s / /home/user/link', { scratch });
  const again = await bench.shell('cat /home/user/file', { scratch });
  expect(again.out).toEqual(['kept']);
  expect(await scratch.usedBytes()).toBeGreaterThan(0);
  await scratch.remove();
  expect(await scratch.usedBytes()).toBe(0);
});

isolatedTest(
  'a scratch that runs is copied as it is at that moment, and the copies live on by themselves',
  async () => {
    const process = await bench.start([
      '/bin/sh',
      '-c',
      'echo before > /home/user/file; echo ready >&3; read line <&3; echo after > /home/user/file; echo done >&3; read line <&3',
    ]);
    await once(process.socket, 'data');
    const original = bench.scratches.get(process.id) as Scratch;
    const copy = await bench.scratch({ from: original });
    const saved = join(bench.folder, 'saved.img');
    await original.save(saved);
    await expect(original.save(saved)).rejects.toSatisfy((e) => isHoldfastError(e, 'AlreadyExists'));
    process.socket.write('go\n');
    await once(process.socket, 'data');
    for (const scratch of [copy, await bench.scratch({ from: saved })]) {
      expect((await bench.shell('cat /home/user/file; touch /home/user/own && echo mine', { scratch })).out).toEqual([
        'before',
        'mine',
      ]);
    }
    await process.remove();
    expect((await bench.shell('cat /home/user/file', { scratch: original })).out).toEqual(['after']);
  },
);

isolatedTest(
  'a process that waits for ever is killed with all that it started, and nothing of it is left on the host',
  async () => {
    const mounts = await readFile('/proc/self/mountinfo', 'utf8');
    const process = await bench.start(['/bin/sh', '-c', 'setsid sleep 1000 & trap "" TERM; echo up >&3; sleep 1000']);
    await once(process.socket, 'data');
    const groups = bench.cgroupsOf(process.id);
    expect(groups).not.toEqual([]);
    const disk = (bench.scratches.get(process.id) as DiskScratch).file;
    expect(isOnLoop(disk)).toBe(true);
    process.kill();
    expect(await process.exited).toMatchObject({ signal: 'SIGKILL', outOfMemory: false });
    await process.remove();
    expect(groups.some(existsSync)).toBe(false);
    await until(() => !isOnLoop(disk));
    expect(await readFile('/proc/self/mountinfo', 'utf8')).toBe(mounts);
  },
);

isolatedTest('a program that is not there ends at once, and says so', async () => {
  const process = await bench.start(['/bin/nothing']);
  expect((await process.exited).exitCode).toBe(1);
  expect(process.lastWords).toContain('/bin/nothing');
  await process.remove();
});

isolatedTest('what cannot be is refused before anything starts', async () => {
  const scratch = await bench.scratch();
  const spec = { id: 'x', argv: ['/bin/true'], env: {}, scratch, limits: usualLimits } as const;
  for (const wrong of [
    { ...spec, id: '../x' },
    { ...spec, env: { 'A=B': '' } },
    { ...spec, argv: ['/bin/echo', 'a\0b'] as const },
    { ...spec, cwd: 'relative' },
    { ...spec, binds: [{ source: '/usr', target: '/a/../b' }] },
  ]) {
    await expect(bench.backend.start(wrong)).rejects.toSatisfy((e) => isHoldfastError(e, 'InvalidArgument'));
  }
  const running = await bench.start(['/bin/sleep', '100'], { scratch });
  await expect(bench.backend.start(spec)).rejects.toSatisfy((e) => isHoldfastError(e, 'InvalidArgument'));
  await running.remove();
});
