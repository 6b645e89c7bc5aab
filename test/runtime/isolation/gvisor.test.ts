import { existsSync } from 'node:fs';
import { readdir, readFile, rm } from 'node:fs/promises';
import { release } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { guestProgramPath } from '../../../src/cli/parts/guest-program.js';
import type { Guest } from '../../../src/common/ports/guest.js';
import type { IsolatedProcess, Scratch } from '../../../src/common/ports/sandbox.js';
import { gvisorWalls, ociSpec } from '../../../src/runtime/isolation/gvisor-start.js';
import { readHostView } from '../../../src/runtime/isolation/host-view.js';
import { openGuest } from '../../../src/runtime/sandbox/guest/guest-client.js';
import { gvisorTest } from '../../gvisor-test.js';
import { run, wheel } from '../sandbox/start-guest.js';
import { openBench } from './harness.js';

const limits = { memoryMb: 512, cpu: 2, pids: 512 };
const agent = '/run/holdfast/agent';
const bench = await openBench(gvisorWalls());

async function startAgent(scratch?: Scratch): Promise<{ process: IsolatedProcess; guest: Guest }> {
  const binds = [{ source: guestProgramPath(), target: agent }];
  const options = { limits, binds, isPid1: true, ...(scratch === undefined ? {} : { scratch }) };
  const process = await bench.start([agent], options);
  return { process, guest: await openGuest(process.socket, wheel) };
}

test('what gVisor is told has no capability, no network and nothing of the host that can be written', () => {
  const scratch = { root: { kind: 'host' } } as Scratch;
  const spec = ociSpec({ id: 'a', argv: ['/bin/x', 'y'], env: { A: 'b' }, scratch, limits }, readHostView()) as {
    process: { args: string[]; env: string[]; capabilities: Record<string, string[]>; noNewPrivileges: boolean };
    mounts: { type: string; destination: string; options?: string[] }[];
    linux: { namespaces: { type: string }[] };
  };
  expect(spec.process.args.slice(-2)).toEqual(['/bin/x', 'y']);
  expect(spec.process.env).toEqual(['A=b']);
  expect(Object.values(spec.process.capabilities).flat()).toEqual([]);
  expect(spec.process.noNewPrivileges).toBe(true);
  expect(spec.linux.namespaces).toContainEqual({ type: 'network' });
  const writable = spec.mounts.filter(({ type, options }) => type === 'bind' && !options?.includes('ro'));
  expect(writable.map(({ destination }) => destination)).toEqual(['/tmp']);
});

gvisorTest('a host with runsc passes the trial', async () => {
  await bench.backend.check();
});

gvisorTest('a program runs on a kernel that is not the host’s, as nobody, and sees nothing of the host', async () => {
  const line = 'uname -r; id -u; grep CapEff /proc/self/status; cat /proc/1/environ | tr "\\0" " "';
  const hidden = `test -e ${process.cwd()} || test -e /var/lib/dpkg`;
  const { out, exitCode } = await bench.shell(`${line}; if ${hidden}; then exit 9; fi; exit 5`, { limits });
  expect(exitCode).toBe(5);
  expect(out[0]).not.toBe(release());
  expect(out.slice(1, 3)).toEqual(['1000', 'CapEff:\t0000000000000000']);
});

gvisorTest('the agent inside runs commands and has files that outlive its processes', async () => {
  const first = await startAgent();
  const ran = await run(first.guest, ['/bin/sh', '-c', 'cat; echo err >&2; exit 3'], { cwd: '/' });
  expect(ran).toMatchObject({ exitCode: 3, stderr: 'err\n' });
  for (const path of ['/home/user/kept', '/tmp/kept']) await first.guest.writeFile(path, Buffer.from('kept'));
  const scratch = bench.scratches.get(first.process.id) as Scratch;
  await first.process.remove();

  const second = await startAgent(scratch);
  for (const path of ['/home/user/kept', '/tmp/kept'])
    expect(String(await second.guest.readFile(path, { maxBytes: 10 }))).toBe('kept');
  await second.process.remove();
});

gvisorTest('a copy of a disk has what was written just before, while its sandbox runs on', async () => {
  const { process, guest } = await startAgent();
  await guest.writeFile('/home/user/late', Buffer.from('late'));
  const copy = join(bench.folder, 'copy.img');
  await bench.scratches.get(process.id)?.save(copy);
  expect((await guest.stat('/home/user/late')).size).toBe(4);
  await process.remove();
  const other = await startAgent(await bench.scratch({ from: copy }));
  expect(String(await other.guest.readFile('/home/user/late', { maxBytes: 10 }))).toBe('late');
  await other.process.remove();
  await rm(copy);
});

gvisorTest('what tries to lead out by a link stays inside', async () => {
  const { process, guest } = await startAgent();
  const scratch = bench.scratches.get(process.id) as Scratch;
  const leave = 'ln -s /etc/passwd /home/user/link; ln -s /proc/1/root /home/user/root';
  await run(guest, ['/bin/sh', '-c', leave], { cwd: '/' });
  expect(String(await guest.readFile('/home/user/link', { maxBytes: 10_000 }))).toContain('user:x:1000');
  await process.remove();
  // Another start follows what is on the disk now.
  const again = await startAgent(scratch);
  const passwd = await run(again.guest, ['/bin/cat', '/home/user/link'], { cwd: '/' });
  expect(passwd.stdout).not.toBe(await readFile('/etc/passwd', 'utf8'));
  await again.process.remove();
});

gvisorTest('killed, it leaves no process, no cgroup and no file', async () => {
  const { process } = await startAgent();
  const groups = bench.cgroupsOf(process.id);
  process.kill();
  expect(await process.exited).toMatchObject({ signal: 'SIGKILL' });
  await process.remove();
  expect(groups.some(existsSync)).toBe(false);
  const [boot = ''] = await readdir(bench.folder);
  expect(await readdir(join(bench.folder, boot, 'walls'))).toEqual([]);
});
