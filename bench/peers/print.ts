import { spreadText } from '../report/print.js';
import type { Row } from '../report/row.js';
import { type Cell, table } from '../report/table.js';
import type { MemoryRow } from './cold-names.js';
import type { Comparison } from './comparison.js';
import type { Absence } from './contest.js';

/** Rates and latencies of new names, with what each left in memory. */
export function printColdNames(rows: readonly Row[], memory: readonly MemoryRow[]): string {
  const header = ['target', 'names/s', 'spread', 'p50 µs', 'p99 µs', 'names', 'kB a name'];
  const cells = rows.map((row): Cell[] => {
    const left = memory.find((each) => each.target === row.target);
    return [
      row.title,
      row.callsPerSecond.median,
      spreadText(row.callsPerSecond),
      row.p50Us.median,
      row.p99Us.median,
      left?.names ?? null,
      left === undefined ? null : left.bytesPerName / 1_000,
    ];
  });
  return `${table(header, cells)}\nkB a name: memory that the idle instance keeps, of all processes but the client's.`;
}

export function printComparison(comparisons: readonly Comparison[]): string {
  const header = ['Holdfast beside the best peer', 'peer', 'Holdfast', 'best peer', 'ratio', 'bar', 'aim', ''];
  const cells = comparisons.map(({ figure, peer, holdfast, best, ratio, bar, aim, isReached }): Cell[] => [
    ...[figure, peer, holdfast, best],
    ...[`${ratio.toFixed(2)}x`, `${bar}x`, `${aim}x`, isReached ? 'reached' : 'missed'],
  ]);
  return table(header, cells);
}

export function printAbsences(absences: readonly Absence[]): string {
  return absences.map(({ title, why }) => `${title} is left out: ${why}`).join('\n');
}
