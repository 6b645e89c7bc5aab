import type { LoadResult } from '../load/latencies.js';
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
export interface Row {
  readonly scenario: string;
  readonly target: string;
  readonly title: string;
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

export type RowHead = Pick<Row, 'scenario' | 'target' | 'title' | 'callers' | 'payloadBytes' | 'thinkMs'>;

export function summarise(head: RowHead, measurements: readonly Measurement[]): Row {
  const spread = (of: (each: Measurement) => number): Spread => spreadOf(measurements.map(of));
  const roles = [...new Set(measurements.flatMap((each) => Object.keys(each.cpuSeconds) as Role[]))];
  const cpu = roles.map((role) => [role, cpuPer100k(measurements, role)] as const);
  return {
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

/** Over all repetitions: what takes little is below the clock's tick in one of them. */
function cpuPer100k(measurements: readonly Measurement[], role: Role): number {
  const seconds = measurements.reduce((sum, each) => sum + (each.cpuSeconds[role] ?? 0), 0);
  const calls = measurements.reduce((sum, each) => sum + each.calls, 0);
  return (seconds / calls) * 100_000;
}

function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const low = sorted[Math.ceil(middle) - 1] ?? 0;
  const high = sorted[Math.floor(middle)] ?? 0;
  return { median: (low + high) / 2, min: sorted[0] ?? 0, max: sorted.at(-1) ?? 0 };
}
