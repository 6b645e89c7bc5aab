import { HoldfastError } from '../../../common/errors.js';
import type { GuestProcessInfo } from '../../../common/ports/guest.js';
import { listGuestDirectory } from './guest-directories.js';
import type { GuestLink } from './guest-link.js';
import { readWholeGuestFile } from './guest-read.js';

const maxProcesses = 4_096;
/** Each takes three operations of the link, which has a limit. */
const atOnce = 64;
const maxFileBytes = 65_536;
const argvBytes = 4_096;
/** Of /proc/PID/stat, after the name. */
const fields = { state: 0, parent: 1, threads: 17, startTicks: 19, residentPages: 21 } as const;
/** USER_HZ and the page size, of every Linux that Node runs on but for arm64 kernels with larger pages. */
const ticksPerSecond = 100;
const pageBytes = 4_096;
/** What the agent marks what a command starts with; see commands.c. */
const tagBase = 0x4846_0000_0000_0000n;
const maxRef = 0xffff_ffffn;

/** What was asked for, and the process that began with it. */
export interface StartedCommand {
  readonly pid: number;
  readonly argv: readonly string[];
}

/**
 * What runs, read from the guest's own /proc.
 * @param commandOf by its ref
 */
export async function listGuestProcesses(
  link: GuestLink,
  commandOf: (ref: number) => StartedCommand | null,
): Promise<GuestProcessInfo[]> {
  const entries = await listGuestDirectory(link, '/proc', {});
  const pids = entries.map(({ name }) => Number(name)).filter((pid) => Number.isInteger(pid) && pid > 1);
  const bootedAtMs = await readBootTime(link);
  const found: GuestProcessInfo[] = [];
  for (let at = 0; at < Math.min(pids.length, maxProcesses); at += atOnce) {
    const some = pids.slice(at, at + atOnce).map((pid) => readProcess(link, pid, { commandOf, bootedAtMs }));
    for (const info of await Promise.all(some)) if (info !== null) found.push(info);
  }
  return found.sort((a, b) => a.pid - b.pid);
}

/** Null: it has ended. */
async function readProcess(
  link: GuestLink,
  pid: number,
  world: { commandOf(ref: number): StartedCommand | null; readonly bootedAtMs: number },
): Promise<GuestProcessInfo | null> {
  const [stat, commandLine, limits] = await Promise.all(
    ['stat', 'cmdline', 'limits'].map((name) => readText(link, `/proc/${pid}/${name}`)),
  );
  if (stat === null || stat === undefined) return null;
  const values = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  // Others of its threads may run when the first has ended.
  if ((values[fields.state] ?? 'Z') === 'Z' && numberOf(values[fields.threads]) <= 1) return null;
  const ref = taggedRef(limits ?? '');
  const command = ref === null ? null : world.commandOf(ref);
  const words = (commandLine ?? '').slice(0, argvBytes).split('\0').slice(0, -1);
  return {
    pid,
    parentPid: numberOf(values[fields.parent]),
    commandPid: command?.pid ?? null,
    // It has none of its own while `execve` is not through, and where its first thread has ended.
    argv: words.length === 0 && command?.pid === pid ? command.argv : words,
    startedAtMs: world.bootedAtMs + (numberOf(values[fields.startTicks]) / ticksPerSecond) * 1000,
    memoryBytes: numberOf(values[fields.residentPages]) * pageBytes,
  };
}

/** 0 where a guest says something else. */
function numberOf(text: string | undefined): number {
  return /^\d{1,15}$/.test(text ?? '') ? Number(text) : 0;
}

function taggedRef(limits: string): number | null {
  const value = /^Max file locks\s+(\d+)/m.exec(limits)?.[1];
  if (value === undefined) return null;
  const ref = BigInt(value) - tagBase;
  return ref > 0n && ref <= maxRef ? Number(ref) : null;
}

async function readBootTime(link: GuestLink): Promise<number> {
  const seconds = /^btime (\d+)/m.exec((await readText(link, '/proc/stat')) ?? '')?.[1];
  return numberOf(seconds) * 1000;
}

/** Null: its process has ended, or does not show it. @throws why the link ended */
async function readText(link: GuestLink, path: string): Promise<string | null> {
  try {
    return Buffer.from(await readWholeGuestFile(link, path, maxFileBytes)).toString('utf8');
  } catch (error) {
    if (link.error !== null || !(error instanceof HoldfastError)) throw error;
    return null;
  }
}
