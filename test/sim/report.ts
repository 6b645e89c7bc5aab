import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const file = join(import.meta.dirname, '../../docs/reliability.md');

/** The rows of a table as they stand, without its head. */
export function readTable(name: string): string[][] {
  const [, rest = ''] = readFileSync(file, 'utf8').split(`<!-- ${name} -->`);
  const [table = ''] = rest.split(`<!-- /${name} -->`);
  const lines = table.split('\n').filter((line) => line.startsWith('|'));
  return lines.slice(2).map((line) => line.slice(2, -2).split(' | '));
}

/** Puts a table between `<!-- name -->` and `<!-- /name -->` of docs/reliability.md. */
export function writeTable(name: string, head: readonly string[], rows: readonly (readonly string[])[]): void {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const table = [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
  const text = readFileSync(file, 'utf8');
  const [begin, end] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
  const [before, rest = ''] = text.split(begin);
  const [, after] = rest.split(end);
  if (after === undefined) throw new Error(`${file} has no place for ${name}`);
  writeFileSync(file, `${before}${begin}\n${table}\n${end}${after}`);
}
