import { stripVTControlCharacters } from 'node:util';
import Table from 'cli-table3';
import type { Terminal } from './terminal.js';

/** A column: its title, and whether it gives way where the terminal is narrow. */
export interface Column {
  readonly title: string;
  readonly align?: 'left' | 'right';
  /** May be cut, with `…`, down to this many characters. */
  readonly shrinksTo?: number;
}

const gap = 2;
const noBorders = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '',
};

/** Lines of a table without borders, never wider than the terminal as far as columns may shrink. */
export function tableLines(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  terminal: Terminal,
): string[] {
  const widths = narrowed(columns, naturalWidths(columns, rows), terminal.columns);
  const table = new Table({
    chars: noBorders,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': gap },
    colWidths: widths.map((width) => width + gap),
    colAligns: columns.map((column) => column.align ?? 'left'),
    head: columns.map((column) => terminal.paint('dim', column.title)),
  });
  table.push(...rows.map((row) => [...row]));
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd());
}

function naturalWidths(columns: readonly Column[], rows: readonly (readonly string[])[]): number[] {
  return columns.map(({ title }, at) =>
    Math.max(title.length, ...rows.map((row) => stripVTControlCharacters(row[at] ?? '').length)),
  );
}

/** Takes from the widest column that may shrink, one character at a time, until the line fits. */
function narrowed(columns: readonly Column[], natural: readonly number[], available: number | null): number[] {
  const widths = [...natural];
  if (available === null) return widths;
  const total = (): number => widths.reduce((sum, width) => sum + width + gap, -gap);
  while (total() > available) {
    let widest = -1;
    for (const [at, { shrinksTo }] of columns.entries()) {
      const width = widths[at] ?? 0;
      if (shrinksTo !== undefined && width > shrinksTo && width > (widths[widest] ?? 0)) widest = at;
    }
    if (widest < 0) return widths;
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
  return widths;
}
