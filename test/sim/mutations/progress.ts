import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** How far one mutation has come. */
export interface Found {
  /** Of the sources that it was taken from. */
  readonly sources: string;
  /** Seeds 1 to this one are known. */
  readonly until: number;
  /** Null: all of those hold. */
  readonly red: { readonly seed: number; readonly rule: string } | null;
}

const file = join(import.meta.dirname, '../../../node_modules/.cache/sim-mutations.json');

/** What earlier runs of the mutation check have found, by the name of the mutation. */
export function readProgress(): Map<string, Found> {
  try {
    return new Map(Object.entries(JSON.parse(readFileSync(file, 'utf8')) as Record<string, Found>));
  } catch {
    return new Map(); // there was none, or it broke off while it was written
  }
}

export function writeProgress(progress: ReadonlyMap<string, Found>): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, JSON.stringify(Object.fromEntries(progress), null, 1));
}
