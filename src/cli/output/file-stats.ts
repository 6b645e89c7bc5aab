import type { FileStat } from '../../sdk/sandbox/types.js';
import { byteText } from './byte-text.js';
import { minuteText } from './minute-text.js';
import { tableLines } from './table.js';
import type { Terminal } from './terminal.js';

/** Files of a volume or network file system, as a table. */
export function fileStatLines(stats: readonly FileStat[], terminal: Terminal): string[] {
  const columns = [
    ...[{ title: 'MODE' }, { title: 'SIZE', align: 'right' }, { title: 'CHANGED' }],
    { title: 'PATH', shrinksTo: 20 },
  ] as const;
  const rows = stats.map(({ path: at, type, mode, size, modifiedAt }) => [
    ...[mode.toString(8).padStart(4, '0'), byteText(size), minuteText(modifiedAt)],
    type === 'directory' ? `${at}/` : type === 'symlink' ? `${at}@` : at,
  ]);
  return tableLines(columns, rows, terminal);
}
