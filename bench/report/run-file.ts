import { readFileSync, writeFileSync } from 'node:fs';
import type { Settings } from '../scenarios/scenario.js';
import type { Machine } from './machine.js';
import type { Row } from './row.js';
import type { Verdict } from './verdicts.js';

/** All that one run found. */
export interface Run {
  readonly startedAt: string;
  readonly machine: Machine;
  readonly settings: Settings;
  readonly rows: readonly Row[];
}

/** As it is written to a file. */
export interface KeptRun extends Run {
  readonly verdicts: readonly Verdict[];
}

export function writeRun(file: string, run: KeptRun): void {
  writeFileSync(file, `${JSON.stringify(run, null, 2)}\n`);
}

/** One run made of several that each measured a part, where they name the same scenario the later one wins. */
export function readRuns(files: readonly string[]): Run {
  const runs = files.map((file) => JSON.parse(readFileSync(file, 'utf8')) as Run);
  const [first] = runs;
  if (first === undefined) throw new Error('no file of a run to read');
  const rows = new Map<string, Row[]>();
  for (const run of runs) {
    for (const scenario of new Set(run.rows.map((row) => row.scenario))) {
      rows.set(
        scenario,
        run.rows.filter((row) => row.scenario === scenario),
      );
    }
  }
  return { ...first, rows: [...rows.values()].flat() };
}
