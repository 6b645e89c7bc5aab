import { readFileSync } from 'node:fs';
import type { CallRow } from './row.js';

const texts = ['kind', 'scenario', 'target', 'title'] as const;
const figures = ['callsPerSecond', 'p50Us'] as const;

/**
 * What `npm run bench:peers -- --json FILE` measured: peers, and the product and its floor beside them.
 * @throws where the file does not hold such rows
 */
export function readPeers(file: string): readonly CallRow[] {
  const { rows } = JSON.parse(readFileSync(file, 'utf8')) as { rows?: unknown };
  if (!Array.isArray(rows)) throw new Error(`${file} has no 'rows'; expected what bench:peers writes with --json`);
  // What idle instances of peers keep in memory is shown by bench:peers alone.
  const calls = (rows as Partial<CallRow>[]).filter((row) => row.kind === 'calls');
  const wrong = calls.find((row) => !isWhole(row));
  if (calls.length > 0 && wrong === undefined) return calls as CallRow[];
  throw new Error(`${file} needs rows with ${[...texts, 'callers', ...figures].join(', ')}: ${JSON.stringify(wrong)}`);
}

function isWhole(row: Partial<CallRow>): boolean {
  return (
    texts.every((name) => typeof row[name] === 'string') &&
    typeof row.callers === 'number' &&
    figures.every((name) => typeof row[name]?.median === 'number')
  );
}
