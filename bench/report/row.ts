import type { LoadResult } from '../load/latencies.js';
import type { Contender } from '../processes/contender.js';
import type { MemoryByRole } from '../processes/memory-by-role.js';
import type { Role } from '../processes/process-tree.js';

/** One repetition. */
export interface Measurement extends LoadResult {
  readonly cpuSeconds: Readonly<Partial<Record<Role, number>>>;
  /** CPU cores that other programs of this machine kept busy meanwhile. */
  readonly otherCores: number;
}

/** Of several repetitions. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** What was measured of one target under one load. */
export interface CallRow {
  readonly kind: 'calls';
  readonly scenario: string;
  readonly target: string;
  readonly title: string;
  /** The target of the same scenario that this one is shown against; null: none does the same work. */
  readonly floor: string | null;
  readonly callers: number;
  readonly payloadBytes: number;
  readonly thinkMs: number;
  readonly repetitions: number;
  readonly calls: number;
  readonly callsPerSecond: Spread;
  readonly p50Us: Spread;
  readonly p99Us: Spread;
  /** CPU seconds per 100 000 calls, by process. */
  readonly cpuPer100k: Readonly<Partial<Record<Role, number>>>;
  readonly otherCores: Spread;
}

/** What a thing costs in memory: the difference that so many of them made, divided by their number. */
export interface MemoryRow {
  readonly kind: 'memory';
  readonly scenario: string;
  readonly target: string;
  readonly title: string;
  readonly count: number;
  /** Of all of them. */
  readonly bytesEach: number;
  /** They came in as many equal steps as this; what each step took. */
  readonly repetitions: number;
  readonly bytesEachByStep: Spread;
  readonly bytesEachByRole: Readonly<Partial<Record<Role, number>>>;
}

/** How many bytes were moved for something, beside how many there are. */
export interface ByteRow {
  readonly kind: 'bytes';
  readonly scenario: string;
  readonly target: string;
  readonly title: string;
  readonly repetitions: number;
  readonly bytes: Spread;
  readonly ofBytes: number;
}

export type Row = CallRow | MemoryRow | ByteRow;

/** Rows of one load, one for each contender. */
export function callRows(
  load: Pick<CallRow, 'scenario' | 'callers' | 'payloadBytes' | 'thinkMs'>,
  found: ReadonlyMap<Pick<Contender, 'name' | 'title' | 'floor'>, readonly Measurement[]>,
): CallRow[] {
  return [...found].map(([{ name, title, floor }, measurements]) =>
    summarise({ ...load, target: name, title, floor }, measurements),
  );
}

type RowHead = Pick<CallRow, 'scenario' | 'target' | 'title' | 'floor' | 'callers' | 'payloadBytes' | 'thinkMs'>;

export function summarise(head: RowHead, measurements: readonly Measurement[]): CallRow {
  const spread = (of: (each: Measurement) => number): Spread => spreadOf(measurements.map(of));
  const roles = [...new Set(measurements.flatMap((each) => Object.keys(each.cpuSeconds) as Role[]))];
  const cpu = roles.map((role) => [role, cpuPer100k(measurements, role)] as const);
  return {
    kind: 'calls',
    ...head,
    repetitions: measurements.length,
    calls: measurements.reduce((sum, each) => sum + each.calls, 0),
    callsPerSecond: spread((each) => each.calls / each.seconds),
    p50Us: spread((each) => each.p50Us),
    p99Us: spread((each) => each.p99Us),
    cpuPer100k: Object.fromEntries(cpu),
    otherCores: spread((each) => each.otherCores),
  };
}

/** @param seen before the first of some equal steps that made `count` things together, and after each */
export function memoryRow(
  head: Pick<MemoryRow, 'scenario' | 'target' | 'title'>,
  { count, seen }: { readonly count: number; readonly seen: readonly MemoryByRole[] },
): MemoryRow {
  const [first = {}] = seen;
  const last = seen.at(-1) ?? {};
  const steps = seen.slice(1).map((after, step) => totalOf(after) - totalOf(seen[step] ?? {}));
  const roles = Object.keys(last) as Role[];
  const grown = roles.map((role) => [role, ((last[role] ?? 0) - (first[role] ?? 0)) / count] as const);
  return {
    kind: 'memory',
    ...head,
    count,
    bytesEach: (totalOf(last) - totalOf(first)) / count,
    repetitions: steps.length,
    bytesEachByStep: spreadOf(steps.map((bytes) => (bytes / count) * steps.length)),
    bytesEachByRole: Object.fromEntries(grown),
  };
}

/** Of the median time, whatever was done between two files. */
export function megabytesPerSecond(row: Pick<CallRow, 'payloadBytes' | 'p50Us'>): number {
  return row.payloadBytes / row.p50Us.median;
}

function totalOf(memory: MemoryByRole): number {
  return Object.values(memory).reduce((sum, bytes) => sum + bytes, 0);
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const low = sorted[Math.ceil(middle) - 1] ?? 0;
  const high = sorted[Math.floor(middle)] ?? 0;
  return { median: (low + high) / 2, min: sorted[0] ?? 0, max: sorted.at(-1) ?? 0 };
}

/** Over all repetitions: what takes little is below the clock's tick in one of them. */
function cpuPer100k(measurements: readonly Measurement[], role: Role): number {
  const seconds = measurements.reduce((sum, each) => sum + (each.cpuSeconds[role] ?? 0), 0);
  const calls = measurements.reduce((sum, each) => sum + each.calls, 0);
  return (seconds / calls) * 100_000;
}
