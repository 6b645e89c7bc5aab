import type { Role } from '../processes/process-tree.js';
import { formatNumber, formatRatio, formatSpread } from './format.js';
import { cpuOf, floorOf, pathOf } from './ratio.js';
import { type CallRow, type MemoryRow, type Spread, spreadOf } from './row.js';
import type { Cell, Table } from './table.js';

const roles: readonly Role[] = [
  'client',
  'server',
  'worker',
  'container',
  'sandbox',
  'router',
  'watchdog',
  'nats',
  'redis',
  'kernel',
];
/** On no path. */
const asides: readonly Role[] = ['watchdog', 'other'];
/** A process that takes less than this share everywhere has no column of its own. */
const shownShare = 0.01;
const nearlyIdleCores = 0.25;

/** Rates and latencies, each beside the floor's under the same load. */
export function callTable(rows: readonly CallRow[], { what = 'calls/s', pauses = false } = {}): Table {
  const hasFloor = rows.some((row) => floorOf(row, rows) !== undefined);
  const hasPath = rows.some((row) => pathOf(row, rows) !== undefined);
  const hasSizes = new Set(rows.map((row) => row.payloadBytes)).size > 1;
  const header = [
    ...[hasSizes ? 'bytes' : 'callers', 'target'],
    ...(pauses ? [] : [what, 'spread']),
    ...['p50 µs', 'p99 µs'],
    ...(pauses ? ['spread'] : []),
    ...(hasFloor && !pauses ? [`${what.split('/')[0]} to floor`] : []),
    ...(hasFloor ? ['p50 to floor'] : []),
    ...(hasPath ? ['to path'] : []),
  ];
  const toPath = (row: CallRow): Cell => {
    const path = pathOf(row, rows);
    return path === undefined ? null : formatRatio(row.p50Us.median / path.p50Us.median);
  };
  const cells = rows.map((row): Cell[] => {
    const floor = floorOf(row, rows);
    const toFloor = (of: (each: CallRow) => Spread): Cell =>
      floor === undefined ? null : formatRatio(of(row).median / of(floor).median);
    return [
      ...[hasSizes ? row.payloadBytes : row.callers, row.title],
      ...(pauses ? [] : [row.callsPerSecond.median, formatSpread(row.callsPerSecond)]),
      ...[row.p50Us.median, row.p99Us.median],
      ...(pauses ? [formatSpread(row.p50Us)] : []),
      ...(hasFloor && !pauses ? [toFloor((each) => each.callsPerSecond)] : []),
      ...(hasFloor ? [toFloor((each) => each.p50Us)] : []),
      ...(hasPath ? [toPath(row)] : []),
    ];
  });
  return { header, rows: cells, notes: otherPrograms(rows) };
}

/** CPU seconds for 100 000 calls, by process. */
export function cpuTable(rows: readonly CallRow[], what = 'calls'): Table {
  const shareOf = (row: CallRow, role: Role): number => (row.cpuPer100k[role] ?? 0) / cpuOf(row);
  const onPath = roles.filter((role) => !asides.includes(role));
  const present = onPath.filter((role) => rows.some((row) => shareOf(row, role) >= shownShare));
  const others = (row: CallRow): number =>
    cpuOf(row) - present.reduce((sum, role) => sum + (row.cpuPer100k[role] ?? 0), 0);
  const hasOthers = rows.some((row) => others(row) >= 0.005);
  const hasFloor = rows.some((row) => floorOf(row, rows) !== undefined);
  const hasCallers = new Set(rows.map((row) => row.callers)).size > 1;
  const cells = rows.map((row): Cell[] => {
    const floor = floorOf(row, rows);
    const toFloor = floor === undefined ? null : formatRatio(cpuOf(row) / cpuOf(floor));
    return [
      ...(hasCallers ? [row.callers] : []),
      row.title,
      ...present.map((role) => cpuText(row.cpuPer100k[role])),
      ...(hasOthers ? [cpuText(others(row))] : []),
      cpuText(cpuOf(row)),
      ...(hasFloor ? [toFloor] : []),
    ];
  });
  const header = [
    ...(hasCallers ? ['callers'] : []),
    ...[`CPU s / 100 000 ${what}`, ...present],
    ...(hasOthers ? ['others'] : []),
    ...['all', ...(hasFloor ? ['to floor'] : [])],
  ];
  return { header, rows: cells, notes: [] };
}

/** Bytes for each, by process. */
export function memoryTable(rows: readonly MemoryRow[]): Table {
  const present = roles.filter((role) => rows.some((row) => row.bytesEachByRole[role] !== undefined));
  const hasSteps = rows.some((row) => row.repetitions > 1);
  return {
    header: ['count', 'bytes for each', ...present, 'all', ...(hasSteps ? ['spread of steps'] : [])],
    rows: rows.map((row) => [
      ...[row.count, row.title],
      ...present.map((role) => row.bytesEachByRole[role] ?? null),
      ...[row.bytesEach, ...(hasSteps ? [formatSpread(row.bytesEachByStep)] : [])],
    ]),
    notes: [],
  };
}

/** Hundredths where they say something; nothing where there is no such process, or it took no time. */
function cpuText(seconds: number | undefined): string | null {
  if (seconds === undefined || seconds < 0.005) return null;
  return seconds < 10 ? seconds.toFixed(2) : formatNumber(seconds);
}

/** Said only where it may have disturbed the figures. */
function otherPrograms(rows: readonly CallRow[]): string[] {
  const usual = spreadOf(rows.map((row) => row.otherCores.median)).median;
  const most = Math.max(...rows.map((row) => row.otherCores.max));
  if (most < nearlyIdleCores) return [];
  return [`Other programs kept ${usual.toFixed(2)} cores busy meanwhile, at most ${most.toFixed(2)}.`];
}
