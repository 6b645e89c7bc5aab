import { formatNumber } from './format.js';

/** A cell, or null for an empty one. Numbers stand at the right. */
export type Cell = string | number | null;

export interface Table {
  readonly header: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
  /** Below it, a line each. */
  readonly notes: readonly string[];
}

const gap = '  ';

/** Columns as wide as they need to be. */
export function tableText({ header, rows, notes }: Table): string {
  const texts = rows.map((row) => row.map(cellText));
  const widths = header.map((title, column) =>
    Math.max(title.length, ...texts.map((row) => (row[column] ?? '').length)),
  );
  const isLeft = header.map((_, column) => isTextColumn(rows, column));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => (isLeft[column] ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join(gap)
      .trimEnd();
  return [line(header), line(widths.map((width) => '-'.repeat(width))), ...texts.map(line), ...notes].join('\n');
}

export function tableMarkdown({ header, rows, notes }: Table): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  const rules = header.map((_, column) => (isTextColumn(rows, column) ? '---' : '---:'));
  const table = [line(header), line(rules), ...rows.map((row) => line(row.map(cellText)))].join('\n');
  return [table, ...notes].join('\n\n');
}

/** Figures with a unit are text, too, and yet belong at the right. */
function isTextColumn(rows: readonly (readonly Cell[])[], column: number): boolean {
  return rows.some((row) => /^[^\d±]*\p{L}{3}/u.test(typeof row[column] === 'string' ? row[column] : ''));
}

function cellText(cell: Cell): string {
  if (cell === null) return '';
  return typeof cell === 'string' ? cell : formatNumber(cell);
}
