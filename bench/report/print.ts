import type { Role } from '../processes/process-tree.js';
import type { Machine } from './machine.js';
import type { Row, Spread } from './row.js';
import { type Cell, table } from './table.js';

/** The target that all others are compared with, where a scenario has it. */
const floor = 'tcp-container';
const columns = 100;
const roles: readonly Role[] = ['client', 'server', 'worker', 'container', 'router', 'watchdog', 'nats', 'redis'];

export function printMachine(machine: Machine): string {
  const { processor, cores, memoryGiB, system, versions, loadBefore } = machine;
  return [
    `${cores} cores (${processor}), ${memoryGiB} GiB, ${system}`,
    ...wrapped(Object.entries(versions).map(([name, version]) => `${name} ${version}`)),
    `load average before: ${loadBefore.toFixed(2)}`,
  ].join('\n');
}

/** Rates and latencies, each beside the floor's under the same load. */
export function printCalls(rows: readonly Row[], what = 'calls/s'): string {
  const hasFloor = rows.some((row) => row.target === floor);
  const sizes = new Set(rows.map((row) => row.payloadBytes));
  const header = [
    ...(sizes.size > 1 ? ['bytes'] : ['callers']),
    ...['target', what, 'spread', 'p50 µs', 'p99 µs'],
    ...(hasFloor ? ['rate', 'p50'] : []),
  ];
  const cells = rows.map((row): Cell[] => {
    const beside = rows.find((each) => each.target === floor && isSameLoad(each, row));
    return [
      sizes.size > 1 ? row.payloadBytes : row.callers,
      row.title,
      row.callsPerSecond.median,
      spreadText(row.callsPerSecond),
      row.p50Us.median,
      row.p99Us.median,
      ...(beside === undefined
        ? []
        : [ratio(row.callsPerSecond, beside.callsPerSecond), ratio(row.p50Us, beside.p50Us)]),
    ];
  });
  const notes = hasFloor ? ['rate, p50: as a multiple of TCP into a container.'] : [];
  return [table(header, cells), ...notes, otherPrograms(rows)].join('\n');
}

/** CPU seconds for 100 000 calls, by process. */
export function printCpu(rows: readonly Row[]): string {
  const present = roles.filter((role) => rows.some((row) => (row.cpuPer100k[role] ?? 0) >= 0.005));
  const total = (row: Row): number => Object.values(row.cpuPer100k).reduce((sum, each) => sum + each, 0);
  const hasFloor = rows.some((row) => row.target === floor);
  const cells = rows.map((row): Cell[] => {
    const beside = rows.find((each) => each.target === floor && isSameLoad(each, row));
    return [
      row.callers,
      row.title,
      ...present.map((role) => twoDigits(row.cpuPer100k[role])),
      twoDigits(total(row)),
      ...(beside === undefined ? [] : [`${(total(row) / total(beside)).toFixed(2)}x`]),
    ];
  });
  return table(['callers', 'CPU s / 100 000 calls', ...present, 'all', ...(hasFloor ? ['rate'] : [])], cells);
}

function wrapped(parts: readonly string[]): string[] {
  const lines: string[] = [];
  for (const part of parts) {
    const line = lines.at(-1);
    if (line === undefined || line.length + part.length + 2 > columns) lines.push(part);
    else lines[lines.length - 1] = `${line}, ${part}`;
  }
  return lines;
}

function otherPrograms(rows: readonly Row[]): string {
  const most = Math.max(...rows.map((row) => row.otherCores.max));
  const usual = rows.map((row) => row.otherCores.median).sort((a, b) => a - b)[Math.floor(rows.length / 2)] ?? 0;
  return `Other programs kept ${usual.toFixed(2)} cores busy meanwhile, at most ${most.toFixed(2)}.`;
}

function isSameLoad(a: Row, b: Row): boolean {
  return a.callers === b.callers && a.payloadBytes === b.payloadBytes && a.thinkMs === b.thinkMs;
}

function ratio(a: Spread, b: Spread): string {
  return `${(a.median / b.median).toFixed(2)}x`;
}

/** Half the distance between the worst and the best repetition. */
export function spreadText({ median, min, max }: Spread): string {
  return `±${Math.round(((max - min) / 2 / median) * 100)} %`;
}

function twoDigits(value: number | undefined): string | null {
  return value === undefined ? null : value.toFixed(2);
}
