import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { readTable, writeTable } from '../sim/report.js';
import type { Footprint } from './footprint.js';
import type { Outcome } from './run-scenario.js';
import type { SoakOutcome } from './soak.js';

/** What came of a scenario, or of the soak, as it stands in a file of results (a line each) and in docs/reliability.md. */
export interface Result {
  /** `soak`, or the scenario's. */
  readonly name: string;
  readonly isGood: boolean;
  readonly rows: readonly (readonly string[])[];
  readonly violations: readonly string[];
}

const scenarioHead = [
  ...['scenario', 'what', 'calls', 'unknown', 'others good'],
  ...['answers again: median, p99, last', 'violations', 'note'],
];
const soakHead = ['of routers and workers', 'before', 'after', 'as before'];
const shownViolations = 20;

export function resultOfScenario(outcome: Outcome): Result {
  const { scenario, calls, unknown, successPercent, recovery, violations, note } = outcome;
  const seconds = (ms: number): string => (ms / 1_000).toFixed(1);
  const again =
    recovery === null ? '–' : `${seconds(recovery.p50)}, ${seconds(recovery.p99)}, ${seconds(recovery.last)} s`;
  const row = [
    ...[scenario.name, scenario.what, String(calls), String(unknown), `${successPercent.toFixed(1)} %`],
    ...[again, violations.length === 0 ? '0' : `**${violations.length}**`, note === '' ? '–' : note],
  ];
  return { name: scenario.name, isGood: violations.length === 0, rows: [row], violations };
}

export function resultOfSoak(outcome: SoakOutcome): Result {
  const { minutes, faults, visitors, before, after, grown, calls, unknown, violations } = outcome;
  const names = Object.keys(before) as (keyof Footprint)[];
  const rows = names.map((name) => [
    ...[name, String(before[name]), String(after[name]), grown.includes(name) ? '**grown**' : 'yes'],
  ]);
  const total = [
    `${minutes} min: ${[...faults].map(([name, count]) => `${name} ${count}`).join(', ')}`,
    `${visitors} instances and clients came and went`,
    `${calls} calls, ${unknown} unknown`,
    violations.length === 0 ? '0 violations' : `**${violations.length} violations**`,
  ];
  return { name: 'soak', isGood: violations.length + grown.length === 0, rows: [...rows, total], violations };
}

export function showResult({ rows, violations }: Result): void {
  for (const row of rows) console.log(row.join(' | '));
  for (const violation of violations.slice(0, shownViolations)) console.log(`  VIOLATION ${violation}`);
}

export function keepResult(file: string, result: Result): void {
  appendFileSync(file, `${JSON.stringify(result)}\n`);
}

/** Of these files, those that are not there included; the last of a name counts. */
export function readResults(files: readonly string[]): Result[] {
  const texts = files.map((file) => (existsSync(file) ? readFileSync(file, 'utf8') : ''));
  const lines = texts.flatMap((text) => text.split('\n').filter(Boolean));
  const results = lines.map((line) => JSON.parse(line) as Result);
  return [...new Map(results.map((result) => [result.name, result])).values()];
}

/** Into docs/reliability.md; rows of scenarios that have no result stay, in the order of `names`. */
export function writeReport(results: readonly Result[], names: readonly string[]): void {
  const soak = results.find(({ name }) => name === 'soak');
  if (soak !== undefined) writeTable('soak', soakHead, soak.rows);
  const rows = new Map(readTable('chaos').map((row) => [row[0] ?? '', row as readonly string[]]));
  for (const { name, rows: made } of results) for (const row of made) rows.set(name, row);
  const known = names.flatMap((name) => [rows.get(name) ?? []].filter((row) => row.length > 0));
  if (known.length > 0) writeTable('chaos', scenarioHead, known);
}
