import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { scenarios } from '../scenarios/scenarios.js';
import { machineLines } from './machine.js';
import { plotSvg } from './plot.js';
import type { CallRow } from './row.js';
import type { Run } from './run-file.js';
import { tableMarkdown } from './table.js';
import { type Verdict, verdictTable } from './verdicts.js';

/** What is between these lines of the document belongs to the benchmark. */
const begin = '<!-- what follows is written by: npm run bench -- --report docs -->';
const end = '<!-- end of what the benchmark writes -->';
const documentName = 'performance.md';
const plotName = 'performance.svg';

/** What a report is made of. */
export interface Report {
  readonly run: Run;
  readonly verdicts: readonly Verdict[];
  readonly peers: readonly CallRow[] | null;
}

/**
 * Writes the plot, and the tables into the document between its markers; folder and document are made where they are not there.
 * @throws where there is a document without them
 */
export function writeReport(folder: string, report: Report): void {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, documentName);
  const before = existsSync(file) ? readFileSync(file, 'utf8') : `# Performance\n\n${begin}\n${end}\n`;
  const after = withReport(before, reportMarkdown(report));
  writeFileSync(file, after);
  writeFileSync(join(folder, plotName), plotSvg(plottedRows(report)));
}

/** @throws where the markers are not there, each once and in order */
export function withReport(document: string, report: string): string {
  const [before, middle, more] = document.split(begin);
  const [, after, evenMore] = (middle ?? '').split(end);
  if (after === undefined || more !== undefined || evenMore !== undefined) {
    throw new Error(`${documentName} must have these two lines, each once:\n${begin}\n${end}`);
  }
  return `${before}${begin}\n\n${report}\n\n${end}${after}`;
}

function reportMarkdown({ run, verdicts, peers }: Report): string {
  const { settings, startedAt, machine, rows } = run;
  const repetitions = [...new Set(rows.map((row) => row.repetitions))].sort((a, b) => a - b);
  const counted = `${repetitions.join(' or ')} repetitions of ${settings.seconds} s`;
  const warning = settings.isQuick ? ['**A quick run: it shows that everything runs, its figures mean nothing.**'] : [];
  const sections = scenarios.flatMap((scenario) => {
    const own = rows.filter((row) => row.scenario === scenario.name);
    if (own.length === 0) return [`### ${heading(scenario.title)}`, 'Not measured in this run.'];
    return [`### ${heading(scenario.title)}`, ...scenario.tables(own).map(tableMarkdown)];
  });
  return [
    ...warning,
    `${startedAt.slice(0, 10)}, ${counted}. ${machineLines(machine).join('. ')}.`,
    `![calls per second and median latency by callers](${plotName})`,
    '### What it must reach',
    peers === null ? 'Peers were not measured.' : 'Peers: workerd, Moleculer and others, by `npm run bench:peers`.',
    tableMarkdown(verdictTable(verdicts)),
    ...sections,
  ].join('\n\n');
}

function plottedRows({ run, peers }: Report): CallRow[] {
  const ours = run.rows.filter((row) => row.kind === 'calls');
  const measured = new Set(ours.map((row) => row.target));
  const rivals = (peers ?? []).filter((row) => !measured.has(row.target));
  return [...ours, ...rivals].filter((row) => row.scenario === 'warm');
}

function heading(title: string): string {
  return title.charAt(0).toUpperCase() + title.slice(1);
}
