import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { until } from './sandbox-world.js';

/** What a sandbox, or a whole boot of a worker, is on this host. */
export interface HostTraces {
  /** Processes inside, by pid and start: others may get the same number, and other namespaces that of theirs. */
  readonly processes: readonly string[];
  readonly cgroups: readonly string[];
  /** Disks, and the folder that they are in. */
  readonly files: readonly string[];
}

/** In /proc/PID/stat after the name, from 0: proc_pid_stat(5). */
const startField = 19;
const cgroupRoots = ['/sys/fs/cgroup', '/sys/fs/cgroup/unified'];

/** Of the sandbox in which a process runs that has this word in its command line. */
export function tracesOf(word: string): HostTraces {
  const [pid] = pids().filter((each) => commandLine(each).split('\0').includes(word) && isInside(each));
  if (pid === undefined) throw new Error(`no isolated process has '${word}' in its command line`);
  const namespace = pidNamespace(pid);
  const processes = pids().filter((each) => pidNamespace(each) === namespace);
  return { processes: processes.map(processName), cgroups: cgroupsOf(pid), files: disksOf(pid) };
}

/** The same of one that was just started: its start is answered a moment before the kernel shows its command line. */
export async function tracesOfNew(word: string): Promise<HostTraces> {
  await until(async () => pids().some((pid) => commandLine(pid).split('\0').includes(word) && isInside(pid)));
  return tracesOf(word);
}

/** Of all sandboxes of a worker that runs with `--data`, and of its boot. */
export function tracesOfWorker(pid: number): HostTraces {
  const words = commandLine(pid).split('\0');
  const folder = join(words[words.indexOf('--data') + 1] ?? '', 'sandboxes');
  const boots = readdirSync(folder);
  const cgroups = pids().filter(isInside).flatMap(cgroupsOf).map(dirname);
  const isOfBoot = (path: string): boolean => boots.some((boot) => path.includes(`/holdfast/${boot}`));
  const own = new Set(cgroups.filter(isOfBoot));
  const inside = pids().filter((each) => isInside(each) && cgroupsOf(each).some(isOfBoot));
  return {
    processes: inside.map(processName),
    cgroups: [...own],
    files: boots.map((boot) => join(folder, boot)),
  };
}

/** The host's pid of a sandbox's process 1. */
export function agentOf({ processes }: HostTraces): number {
  const isFirst = (pid: number): boolean => /^NSpid:.*\t1$/m.test(textOf(`/proc/${pid}/status`));
  const found = pids().find((pid) => processes.includes(processName(pid)) && isFirst(pid));
  if (found === undefined) throw new Error('the sandbox has no process 1');
  return found;
}

/** What is there of it now, in words; nothing where all is gone. */
export function leftOf({ processes, cgroups, files }: HostTraces): string[] {
  const loops = readdirSync('/sys/block').filter((name) => {
    const backing = backingOf(name);
    return files.some((file) => backing.startsWith(file));
  });
  const mounts = textOf('/proc/self/mountinfo')
    .split('\n')
    .filter((line) => files.some((file) => line.includes(file)));
  return [
    ...pids()
      .map(processName)
      .filter((name) => processes.includes(name)),
    ...[...cgroups, ...files].filter((path) => existsSync(path)),
    ...loops,
    ...mounts,
  ];
}

export function watchdogOf(worker: number): number {
  const isChild = (pid: number): boolean =>
    new RegExp(`^\\d+ \\(.*\\) \\S ${worker} `, 's').test(textOf(`/proc/${pid}/stat`));
  const found = pids().find((pid) => isChild(pid) && commandLine(pid).includes('watchdog-main'));
  if (found === undefined) throw new Error(`worker ${worker} has no watchdog`);
  return found;
}

function pids(): number[] {
  return readdirSync('/proc').map(Number).filter(Number.isInteger);
}

const ownNamespace = pidNamespace(process.pid);

function isInside(pid: number): boolean {
  const namespace = pidNamespace(pid);
  return namespace !== '' && namespace !== ownNamespace;
}

/** Empty for one that has just ended. */
function pidNamespace(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`);
  } catch {
    return '';
  }
}

/** Its number and when it started, in ticks since the boot of this machine. */
function processName(pid: number): string {
  const fields = textOf(`/proc/${pid}/stat`)
    .replace(/^.*\) /s, '')
    .split(' ');
  return `process ${pid} since ${fields[startField]}`;
}

function commandLine(pid: number): string {
  return textOf(`/proc/${pid}/cmdline`);
}

/** Those that were made for it: below a folder of ours. */
function cgroupsOf(pid: number): string[] {
  return textOf(`/proc/${pid}/cgroup`)
    .split('\n')
    .flatMap((line) => {
      const [, hierarchy = '', path = ''] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
      if (!path.includes('/holdfast/')) return [];
      const roots = hierarchy === '' ? cgroupRoots : [join('/sys/fs/cgroup', hierarchy)];
      // What can be held back is in a numbered group below the sandbox's.
      const own = path.replace(/\/\d+$/, '');
      return roots.map((root) => join(root, own)).filter((each) => existsSync(each));
    });
}

/** Files of this host that are mounted in there. */
function disksOf(pid: number): string[] {
  const loops = textOf(`/proc/${pid}/mountinfo`).matchAll(/ \/dev\/(loop\d+) /g);
  const backing = [...new Set([...loops].map(([, name]) => backingOf(name ?? '')))];
  return backing.filter((path) => path !== '');
}

/** The file of a loop device; the kernel says where on its file system it is, which may be mounted as our temporary folder. */
function backingOf(loop: string): string {
  const path = textOf(`/sys/block/${loop}/loop/backing_file`).trim();
  return path === '' || path.startsWith(tmpdir()) ? path : join(tmpdir(), path);
}

/** Empty where there is nothing to read. */
function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
