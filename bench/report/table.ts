/** A cell, or null for an empty one. Numbers stand at the right. */
export type Cell = string | number | null;

const gap = '  ';

/** Columns as wide as they need to be. */
export function table(header: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const texts = rows.map((row) => row.map(cellText));
  const widths = header.map((title, column) =>
    Math.max(title.length, ...texts.map((row) => (row[column] ?? '').length)),
  );
  const isText = header.map((_, column) => rows.some((row) => typeof row[column] === 'string' && column < 2));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => (isText[column] ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join(gap)
      .trimEnd();
  return [line(header), line(widths.map((width) => '-'.repeat(width))), ...texts.map(line)].join('\n');
}

/** Three digits or all whole ones, in groups of three. */
function cellText(cell: Cell): string {
  if (cell === null) return '';
  if (typeof cell === 'string') return cell;
  if (cell >= 100)
    return Math.round(cell)
      .toString()
      .replace(/\B(?=(\d{3})+$)/g, ' ');
  return Number(cell.toPrecision(3)).toString();
}
