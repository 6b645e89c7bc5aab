import { once } from 'node:events';
import { readdirSync, readlinkSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { syscallNumbers } from '../../../src/runtime/isolation/syscall-numbers.js';
import { isolatedTest } from '../../isolated-test.js';
import { until } from '../until.js';
import { environment, openBench, type Ran } from './harness.js';

// Each escape is tried in a real sandbox. What proves it contained is on the host, or is the error that the program got.
const bench = await openBench();
const secret = join(bench.folder, 'secret-of-the-host');
await writeFile(secret, 'not for guests', { mode: 0o644 });

/** Perl that makes one call of the kernel and prints its error, or `done`. */
function calls(name: keyof typeof syscallNumbers, ...args: (number | string)[]): string {
  const number = syscallNumbers[name][process.arch === 'x64' ? 0 : 1];
  const given = args.map((arg) => (typeof arg === 'string' ? `my $x${arg.length} = "${arg}"` : '')).filter(Boolean);
  const passed = args.map((arg) => (typeof arg === 'string' ? `$x${arg.length}` : String(arg)));
  return `${given.join(';')}; print syscall(${[number, ...passed].join(', ')}) == -1 ? "${name} $!" : "${name} done", "\\n";`;
}

function said({ out, err }: Ran): string {
  return [...out, ...err].join('\n');
}

isolatedTest('symbolic links, hard links and .. lead nowhere outside', async () => {
  const ran = await bench.shell(`
    cat ${secret}; ln -s ${secret} /tmp/link; cat /tmp/link
    cat /../../../../..${secret}; cd / && cat ../..${secret}
    ln ${secret} /tmp/hard; ln /usr/bin/env /tmp/hard && echo linked; true`);
  expect(said(ran)).not.toMatch(/not for guests|linked/);
  expect(ran.err).toHaveLength(6);
});

isolatedTest('links that a sandbox leaves in its disk do not lead its next start out', async () => {
  const scratch = await bench.scratch();
  const name = `holdfast-escape-${process.pid}`;
  await bench.shell(
    `rm -rf /opt /home && ln -s /oldroot/tmp/${name} /opt && ln -s /../../../tmp/${name} /home && ln -s /proc/1/root/tmp/${name} /mnt/x`,
    { scratch },
  );
  const binds = [
    { source: secret, target: '/opt/deep/file' },
    { source: secret, target: '/home/deep/file' },
  ];
  await bench.shell('true', { scratch, binds });
  await expect(readFile(`/tmp/${name}`)).rejects.toMatchObject({ code: 'ENOENT' });
  await expect(readFile(`/tmp/${name}/deep/file`)).rejects.toMatchObject({ code: 'ENOENT' });
});

isolatedTest('/proc shows no process, root, environment or memory but those inside', async () => {
  const ran = await bench.shell(`
    ls -d /proc/[0-9]* | wc -l
    cat /proc/self/root${secret} /proc/1/root${secret}
    tr '\\0' '\\n' < /proc/1/environ | sort | tr '\\n' ' '; echo
    head -c 1 /proc/kcore; head -c 1 /dev/mem; echo x > /proc/sysrq-trigger
    echo x > /proc/sys/kernel/core_pattern; echo x > /proc/sys/kernel/hostname; true`);
  expect(Number(ran.out[0])).toBeLessThan(5);
  expect(said(ran)).not.toContain('not for guests');
  const names = (ran.out[1] ?? '')
    .split(' ')
    .filter(Boolean)
    .map((pair) => pair.split('=')[0]);
  expect(names.filter((name) => !Object.keys({ ...environment, PWD: '' }).includes(name ?? ''))).toEqual([]);
  expect(ran.err).toHaveLength(7);
});

isolatedTest('no device can be made or opened but the harmless ones', async () => {
  const ran = await bench.shell(`
    mknod /tmp/disk b 254 0; mknod /tmp/memory c 1 1; mknod /tmp/fuse c 10 229
    ls /dev | tr '\\n' ' '; echo; cat /dev/vda /dev/loop0 /dev/sda; true`);
  expect(ran.out).toEqual([
    'console core fd full null ptmx pts random shm stderr stdin stdout tty urandom zero '.replace('console ', ''),
  ]);
  expect(ran.err).toHaveLength(6);
});

isolatedTest(
  'nothing can be mounted, unmounted or remounted, no root changed, no namespace made or entered',
  async () => {
    const { out } = await bench.perl(
      [
        calls('mount', 'none', '/tmp', 'tmpfs', 0, 0),
        calls('mount', '', '/usr', 'bind', 4096 | 32, 0),
        calls('umount2', '/usr', 0),
        calls('chroot', '/tmp'),
        calls('pivot_root', '/tmp', '/tmp/'),
        calls('unshare', 0x10000000),
        calls('unshare', 0x00020000),
        calls('clone', 0x10000000 | 17, 0, 0, 0, 0),
        calls('clone3', 0, 0),
        calls('setns', 3, 0),
        calls('fsopen', 'tmpfs', 0),
        calls('open_tree', -100, '/', 1),
      ].join('\n'),
    );
    expect(out.map((line) => line.split(' ').slice(1).join(' '))).toEqual([
      ...Array.from({ length: 8 }, () => 'Operation not permitted'),
      'Function not implemented',
      'Operation not permitted',
      'Function not implemented',
      'Function not implemented',
    ]);
    const { out: ended } = await bench.shell(
      'for c in "unshare -Ur true" "unshare -n true" "mount -t tmpfs x /mnt"; do $c 2>/dev/null; [ $? = 0 ] && echo done; done; true',
    );
    expect(ended).toEqual([]);
  },
);

isolatedTest(
  'keyrings, BPF, performance counters, user faults, io_uring and kernel modules are out of reach',
  async () => {
    const { out } = await bench.perl(
      [
        calls('keyctl', 0, -3, 1),
        calls('add_key', 'user', 'name1', 'x', 1, -3),
        calls('request_key', 'user', 'name1', 0, 0),
        calls('bpf', 0, 0, 0),
        calls('perf_event_open', 0, 0, -1, -1, 0),
        calls('userfaultfd', 0),
        calls('io_uring_setup', 1, 0),
        calls('init_module', 0, 0, 'x'),
        calls('kexec_load', 0, 0, 0, 0),
        calls('open_by_handle_at', 0, 0, 0),
      ].join('\n'),
    );
    expect(out.filter((line) => !/not permitted|not implemented/.test(line))).toEqual([]);
    expect(out).toHaveLength(10);
  },
);

isolatedTest('no process outside can be seen, signalled or traced, not even one of the same user', async () => {
  const victim = await bench.start(['/bin/sh', '-c', 'echo up >&3; sleep 1000']);
  await once(victim.socket, 'data');
  const pids = `${victim.pid} ${process.pid}`;
  const ran = await bench.shell(`kill -9 ${pids}; kill -0 ${pids}; cat /proc/${victim.pid}/maps; kill -9 -1; true`);
  expect(ran.exitCode === 0 || ran.signal !== null).toBe(true);
  expect(await Promise.race([victim.exited, Promise.resolve('runs')])).toBe('runs');
  await victim.remove();
});

isolatedTest(
  'a descriptor that is sent over the socket to the worker is dropped, and the bytes beside it arrive',
  async () => {
    // SCM_RIGHTS by hand: sendmsg(3, { iov: one byte, control: fd of / }, 0).
    const sendmsg = process.arch === 'x64' ? 46 : 211;
    const started = await bench.start([
      '/usr/bin/perl',
      '-e',
      `$| = 1; open(my $root, "<", "/etc/passwd"); my $byte = "x"; my $iov = pack("PQ", $byte, 1);
     my $control = pack("QllL", 20, 1, 1, fileno($root)) . pack("L", 0);
     my $message = pack("QL!x![Q]PQPQl x![Q]", 0, 0, $iov, 1, $control, 24, 0);
     print syscall(${sendmsg}, 3, $message, 0) < 0 ? "$!\\n" : "sent\\n"; sleep 1000;`,
    ]);
    const lines: string[] = [];
    started.onOutput(({ text }) => lines.push(text));
    const [byte] = await once(started.socket, 'data');
    expect(String(byte)).toBe('x');
    await until(() => lines.length > 0);
    expect([lines, descriptors().filter((path) => path.endsWith('/etc/passwd'))]).toEqual([['sent'], []]);
    await started.remove();
  },
);

/** What the descriptors of this process are of; one of a sandbox's file would show its path inside. */
function descriptors(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)];
    } catch {
      // The one that read the folder.
      return [];
    }
  });
}

isolatedTest('a fork bomb ends at its limit, and its sandbox can be killed', async () => {
  const limits = { memoryMb: 128, cpu: 1, pids: 40 };
  const bomb = await bench.start(['/bin/sh', '-c', 'b() { b | b & b; }; echo up >&3; b 2>/dev/null; sleep 1000'], {
    limits,
  });
  await once(bomb.socket, 'data');
  const other = await bench.shell('echo works');
  expect(other.out).toEqual(['works']);
  bomb.kill();
  await bomb.exited;
  await bomb.remove();
});

isolatedTest('a memory bomb dies alone, and is known as one; /dev/shm and /dev count as memory too', async () => {
  const limits = { memoryMb: 48, cpu: 1, pids: 40 };
  const bomb = await bench.perl('my @kept; push @kept, "x" x 1_000_000 while 1;', { limits });
  expect(bomb).toMatchObject({ signal: 'SIGKILL', outOfMemory: true });
  const shared = await bench.run(['/bin/dd', 'if=/dev/zero', 'of=/dev/shm/big', 'bs=1M', 'count=500'], { limits });
  expect(shared.outOfMemory).toBe(true);
  expect((await bench.shell('echo works')).out).toEqual(['works']);
});

isolatedTest(
  'a full disk is an error inside, ends where diskGb says, and files that are deleted make room again',
  async () => {
    const scratch = await bench.scratch({ diskGb: 1 / 16 });
    const fill = 'dd if=/dev/zero of=/home/user/big bs=1M count=500 2>&1 | grep -o "No space left on device"';
    const ran = await bench.shell(
      `${fill}; ${fill}; rm /home/user/big && echo again > /home/user/small && cat /home/user/small`,
      {
        scratch,
      },
    );
    expect(ran.out).toEqual(['No space left on device', 'No space left on device', 'again']);
    expect(await scratch.usedBytes()).toBeLessThanOrEqual(67_108_864 + 1_048_576);
    const files = await bench.perl('my $i = 0; while (open(my $f, ">", "/tmp/f$i")) { $i++ } print "$i $!\\n"', {
      scratch,
    });
    expect(files.out).toEqual([expect.stringMatching(/^\d{3,5} No space left on device$/)]);
  },
);

isolatedTest('files larger than its memory are written and read by a sandbox without being killed for it', async () => {
  const limits = { memoryMb: 48, cpu: 2, pids: 40 };
  const ran = await bench.shell(
    'dd if=/dev/zero of=/home/user/big bs=1M count=200 2>/dev/null && wc -c < /home/user/big',
    {
      limits,
    },
  );
  expect(ran).toMatchObject({ exitCode: 0, outOfMemory: false, out: ['209715200'] });
});

isolatedTest(
  'no address of the host, the cluster, the metadata service or another sandbox can be reached',
  async () => {
    const server = createServer().listen(0, '0.0.0.0');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const neighbour = await bench.start([
      '/usr/bin/perl',
      '-MIO::Socket::INET',
      '-e',
      'IO::Socket::INET->new(Listen => 1, LocalAddr => "0.0.0.0:7777") or die; syswrite(STDERR, "up\\n"); open(my $w, ">&=", 3); syswrite($w, "up"); sleep 1000;',
    ]);
    await once(neighbour.socket, 'data');
    const own = Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => address));
    const targets = [
      ...['127.0.0.1', ...own.filter((address) => address.includes('.'))].map((address) => `${address}:${port}`),
      ...['127.0.0.1:7777', '169.254.169.254:80', '10.0.0.1:6379', '8.8.8.8:53'],
    ];
    const ran = await bench.run([
      '/usr/bin/perl',
      '-MIO::Socket::INET',
      '-e',
      `for (@ARGV) { print "$_ ", (IO::Socket::INET->new(PeerAddr => $_, Timeout => 2) ? "open" : "closed"), "\\n" }`,
      ...targets,
    ]);
    expect(ran.out).toEqual(targets.map((target) => `${target} closed`));
    server.close();
    await neighbour.remove();
  },
);

isolatedTest('sockets that no namespace parts cannot be made: vsock, packets, kernel crypto', async () => {
  const { out } = await bench.perl(
    [calls('socket', 40, 1, 0), calls('socket', 17, 3, 0), calls('socket', 38, 5, 0)].join('\n'),
  );
  expect(out).toEqual(Array.from({ length: 3 }, () => 'socket Address family not supported by protocol'));
});
