import { inspect } from 'node:util';
import type { Terminal } from './terminal.js';

/** A result for people: text as it is, everything else as the console shows it. */
export function valueText(value: unknown, terminal: Terminal): string {
  if (typeof value === 'string') return value;
  const colors = terminal.paint('green', 'x') !== 'x';
  return inspect(value, { depth: 8, colors, breakLength: terminal.columns ?? 80, maxArrayLength: 1_000, compact: 3 });
}
