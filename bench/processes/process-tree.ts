import { readdirSync, readFileSync } from 'node:fs';

/** The part that a process plays on the path of a call. */
export type Role =
  | 'client'
  | 'server'
  | 'router'
  | 'worker'
  | 'container'
  | 'sandbox'
  | 'watchdog'
  | 'nats'
  | 'redis'
  | 'kernel'
  | 'other';

/** Linux counts CPU time in ticks, 100 of them a second everywhere but on exotic builds. */
const ticksPerSecond = 100;

interface ProcessStat {
  readonly pid: number;
  readonly parent: number;
  readonly cpuSeconds: number;
}

/** All that `pid` started, and what these started. */
export function descendantsOf(pid: number): number[] {
  return treeOf(pid).map((each) => each.pid);
}

/** User and system time of this process and of all that it started, by pid. */
export function cpuByProcess(): ReadonlyMap<number, number> {
  const tree = new Map(treeOf(process.pid).map(({ pid, cpuSeconds }) => [pid, cpuSeconds]));
  return tree.set(process.pid, cpuSecondsOf(process.pid));
}

/** What a process of a cluster is, by its command line. */
export function roleOf(pid: number): Role {
  const command = readProc(`/proc/${pid}/cmdline`).replaceAll('\0', ' ');
  const program = /^(\S*\/)?nats-server\b/.test(command)
    ? 'nats'
    : /^(\S*\/)?redis-server\b/.test(command)
      ? 'redis'
      : null;
  if (program !== null) return program;
  if (/^(\S*\/)?(bwrap|holdfast-launcher\S*) |^\/run\/holdfast\/agent/.test(command)) return 'sandbox';
  const part =
    /\/(container|watchdog|router|worker)-main\.[jt]s\b/.exec(command) ?? /main\.js (router|worker)\b/.exec(command);
  return (part?.[1] as Role | undefined) ?? 'other';
}

/** Whether SIGUSR1 opens its inspector: others would die of it. */
export function isNodeProcess(pid: number): boolean {
  const [program = ''] = readProc(`/proc/${pid}/cmdline`).split('\0');
  return /(^|\/)node$/.test(program);
}

/** User and system time; 0 once it is gone. */
function cpuSecondsOf(pid: number): number {
  return statOf(pid)?.cpuSeconds ?? 0;
}

/** Of the whole machine since its start, all cores together. */
export function machineBusySeconds(): number {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] =
    readProc('/proc/stat').split('\n', 1)[0]?.split(/\s+/).slice(1).map(Number) ?? [];
  return (user + nice + system + irq + softirq) / ticksPerSecond;
}

function treeOf(pid: number): ProcessStat[] {
  const all = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => statOf(Number(name)) ?? []);
  const found: ProcessStat[] = [];
  const parents = [pid];
  for (let parent = parents.pop(); parent !== undefined; parent = parents.pop()) {
    const children = all.filter((each) => each.parent === parent);
    found.push(...children);
    parents.push(...children.map((each) => each.pid));
  }
  return found;
}

function statOf(pid: number): ProcessStat | null {
  const text = readProc(`/proc/${pid}/stat`);
  if (text === '') return null;
  // The name in parentheses may hold anything: fields count from behind it, beginning with the state.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return { pid, parent: Number(fields[1]), cpuSeconds: (Number(fields[11]) + Number(fields[12])) / ticksPerSecond };
}

function readProc(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return ''; // it ended meanwhile
  }
}
