import { type Bounds, criteria, type Found } from './criteria.js';
import { formatRatio } from './format.js';
import type { CallRow, Row } from './row.js';
import type { Table } from './table.js';

/** Of one criterion. */
export interface Verdict extends Bounds {
  readonly figure: string;
  readonly measured: string | null;
  /** What it was compared with, or why it was not. */
  readonly against: string;
  readonly value: number | null;
  readonly path?: number;
  /** Which of them it reaches. */
  readonly result: 'aim' | 'bar' | 'missed' | 'open';
}

/** @param peers null: none were measured */
export function judge(rows: readonly Row[], peers: readonly CallRow[] | null): Verdict[] {
  const found: Found = {
    calls: rows.filter((row) => row.kind === 'calls'),
    memory: rows.filter((row) => row.kind === 'memory'),
    bytes: rows.filter((row) => row.kind === 'bytes'),
    peers,
  };
  return criteria.map(({ find, ...criterion }) => {
    const finding = find(found);
    if (typeof finding === 'string') {
      return { ...criterion, measured: null, against: finding, value: null, result: 'open' };
    }
    return { ...criterion, ...finding, result: resultOf(criterion, finding.value) };
  });
}

export function verdictTable(verdicts: readonly Verdict[]): Table {
  const hasPath = verdicts.some(({ path }) => path !== undefined);
  const rows = verdicts.map(({ figure, sense, unit, ...verdict }) => {
    const { measured, against, value, path, bar, aim, result } = verdict;
    const bound = (limit: number | null): string | null =>
      limit === null ? null : `${sense === 'atMost' ? '≤' : '≥'} ${limit}${unit}`;
    const ratio = value === null || unit !== '' ? null : formatRatio(value);
    const least = path === undefined ? null : `${formatRatio(path)}${unit}`;
    return [figure, measured, against, ratio, ...(hasPath ? [least] : []), bound(bar), bound(aim), result];
  });
  const header = ['figure', 'measured', 'against', 'ratio', ...(hasPath ? ['path floor'] : []), 'bar', 'aim', 'met'];
  return { header, rows, notes: [] };
}

function resultOf({ sense, bar, aim }: Bounds, value: number): Verdict['result'] {
  const reaches = (limit: number): boolean => (sense === 'atMost' ? value <= limit : value >= limit);
  if (aim !== null && reaches(aim)) return 'aim';
  return bar !== null && reaches(bar) ? 'bar' : 'missed';
}
