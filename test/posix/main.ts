/**
 * Runs POSIX suites of others on a mount, as root on Debian or Ubuntu: `npm run test:posix`. That of libfuse comes as source
 * from the system's own package sources, and is built here; stress-ng has to be installed. What cannot run here is said. What
 * a mount refuses is named below, with why; all else must pass, and what is named must fail.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { canIsolate } from '../isolation-host.js';
import { MountWorld, run } from '../runtime/mounts/mount-world.js';

/** What a mount does not have, by how the names of tests of libfuse begin. */
const refused: Readonly<Record<string, string>> = {
  link: 'hard links: a volume is a tree',
  mkfifo: 'pipes live in one kernel, volumes do not',
  socket: 'sockets live in one kernel, volumes do not',
  utime: 'access times: they are those of the last change',
};

/** Of stress-ng: those that look for what a file system answers, bounded in their rounds. */
const stressors =
  'access chdir chmod copy-file dentry dir dirdeep dup fault fcntl fiemap file-ioctl filename flock ' +
  'fpunch fsize fstat getdent hdd io iomix lease lockf mmap msync open readahead rename seek ' +
  'sendfile splice symlink sync-file touch utime verity';

/** Of Debian and of Ubuntu. */
const sourceLists = ['debian', 'ubuntu'].map((name) => `/etc/apt/sources.list.d/${name}.sources`);

/** The tests of libfuse, built. A string of what this machine lacks for that. */
async function libfuseTests(folder: string): Promise<{ readonly program: string } | string> {
  const sources = sourceLists.find((file) => existsSync(file));
  if (sources === undefined) return `one of ${sourceLists.join(' and ')}`;
  const absent = ['apt-get', 'tar', 'xz', 'cc'].filter((name) => !isThere(name));
  if (absent.length > 0) return absent.join(', ');
  return { program: await buildLibfuseTests(folder, sources) };
}

function isThere(program: string): boolean {
  return spawnSync(program, ['--version']).error === undefined;
}

async function buildLibfuseTests(folder: string, sources: string): Promise<string> {
  const list = join(folder, 'source.sources');
  await writeFile(list, (await readFile(sources, 'utf8')).replaceAll(/^Types: deb( deb-src)?$/gm, 'Types: deb-src'));
  const parts = { lists: join(folder, 'lists'), cache: join(folder, 'cache') };
  await mkdir(join(parts.lists, 'partial'), { recursive: true });
  await mkdir(join(parts.cache, 'archives/partial'), { recursive: true });
  const options = [
    ...['-q', '-o', `Dir::Etc::SourceList=${list}`, '-o', 'Dir::Etc::SourceParts=/dev/null'],
    ...['-o', `Dir::State::Lists=${parts.lists}`, '-o', `Dir::Cache=${parts.cache}`, '-o', 'APT::Sandbox::User=root'],
  ];
  await run(folder, `apt-get ${options.join(' ')} update; apt-get ${options.join(' ')} --download-only source fuse3`);
  const archive = (await readdir(folder)).find((name) => /^fuse3_.*\.orig\.tar\.xz$/.test(name));
  await run(folder, `tar xf ${archive} --strip-components=2 --wildcards '*/test/test_syscalls.c'; : > fuse_config.h`);
  await run(folder, 'cc -I. -D_GNU_SOURCE -DHAVE_COPY_FILE_RANGE -o syscalls test_syscalls.c 2>&1');
  return join(folder, 'syscalls');
}

/** How many were not as they should be. */
function judge(said: string): number {
  let wrong = 0;
  const failed = new Map<string, string>();
  let passed = 0;
  for (const line of said.split('\n')) {
    const [, name = '', rest = ''] = /^\s*\d+ \[(.+)\] (.*)$/.exec(line) ?? [];
    if (rest === 'OK') passed += 1;
    else if (name !== '') failed.set(name, rest);
  }
  for (const [name, why] of failed) {
    const reason = Object.entries(refused).find(([start]) => name.startsWith(start))?.[1];
    if (reason === undefined) wrong += 1;
    console.log(`${reason === undefined ? 'FAILED ' : 'refused'} ${name}: ${reason ?? why}`);
  }
  for (const start of Object.keys(refused)) {
    if ([...failed.keys()].some((name) => name.startsWith(start))) continue;
    wrong += 1;
    console.log(`PASSED  ${start}, of which is said that it is refused`);
  }
  console.log(`libfuse: ${passed} passed, ${failed.size} failed`);
  return wrong + (passed < 50 ? 1 : 0);
}

function stress(folder: string): number {
  if (!isThere('stress-ng')) {
    console.log('SKIPPED stress-ng: it is not installed');
    return 0;
  }
  let wrong = 0;
  for (const name of stressors.split(' ')) {
    const args = [`--${name}`, '2', '--timeout', '2s', '--verify', '--temp-path', folder, '--no-rand-seed'];
    const { status, stdout, stderr } = spawnSync('stress-ng', args, { encoding: 'utf8', timeout: 60_000 });
    const said = `${stdout}${stderr}`.split('\n').filter((line) => /fail|error/i.test(line));
    if (status !== 0 && status !== 4) wrong += 1;
    console.log(`stress-ng ${name}: ${status === 0 ? 'passed' : status === 4 ? 'not there' : `FAILED ${status}`}`);
    if (status !== 0 && status !== 4) console.log(said.slice(0, 5).join('\n'));
  }
  return wrong;
}

/** How many were not as they should be. */
async function runSuites(): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-posix-'));
  try {
    const libfuse = await libfuseTests(folder);
    await using world = await MountWorld.start();
    const mount = await world.mount(await world.volumes.volume());
    await run(mount.folder, 'mkdir suite stress');
    if (typeof libfuse === 'string') console.log(`SKIPPED libfuse: it needs ${libfuse}`);
    const wrong =
      typeof libfuse === 'string'
        ? 0
        : judge(await run(mount.folder, `${libfuse.program} ${mount.folder}/suite 2>&1 || true`));
    return wrong + stress(join(mount.folder, 'stress'));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

if (!canIsolate) console.log('SKIPPED: a mount cannot be made here');
else {
  const wrong = await runSuites();
  console.log(`${wrong === 0 ? 'as documented' : `${wrong} not as documented`}`);
  process.exitCode = wrong === 0 ? 0 : 1;
}
