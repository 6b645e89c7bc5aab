import { stripVTControlCharacters } from 'node:util';
import type { Terminal } from '../../src/cli/output/terminal.js';

/** Keeps what is written, without colours. */
export function fakeTerminal(
  columns: number | null = null,
): Terminal & { readonly out: string[]; readonly err: string[] } {
  const out: string[] = [];
  const err: string[] = [];
  return {
    out,
    err,
    print: (line) => void out.push(stripVTControlCharacters(line)),
    note: (line) => void err.push(stripVTControlCharacters(line)),
    paint: (_style, text) => text,
    paintNote: (_style, text) => text,
    redraw: () => undefined,
    columns,
    noteColumns: columns,
    isInteractive: false,
  };
}
