/** Real faults: `npm run chaos [-- --only NAME]`. See docs/reliability.md. */
import { parseArgs } from 'node:util';
import { readTable, writeTable } from '../sim/report.js';
import { type Outcome, runScenario } from './run-scenario.js';
import type { Scenario } from './scenario.js';
import * as limits from './scenarios/limits.js';
import * as network from './scenarios/network.js';
import { poolScenarios } from './scenarios/pools.js';
import * as processFaults from './scenarios/process-faults.js';
import * as stores from './scenarios/stores.js';

const usage = `npm run chaos -- [options]
  --only NAME    the scenarios whose name has this in it
  --short        those that CI runs
  --list         their names, and nothing else
  --calls N      of the scenario of spawned calls, default 20000
  --report docs  writes the table of docs/reliability.md; rows of those that are not run stay
  --help`;

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    short: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
    calls: { type: 'string', default: '20000' },
    report: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
const all: readonly Scenario[] = [processFaults, stores, network, limits, poolScenarios(Number(values.calls))].flatMap(
  (group) => Object.values<Scenario>(group),
);
const chosen = all.filter(
  ({ name, isShort }) =>
    (values.only === undefined || name.includes(values.only)) && (!values.short || isShort === true),
);
const head = [
  'scenario',
  'what',
  'calls',
  'unknown',
  'others good',
  'answers again: median, p99, last',
  'violations',
  'note',
];
if (values.help) console.log(usage);
else if (values.list) for (const { name, what } of chosen) console.log(`${name.padEnd(32)} ${what}`);
else await runAll();

async function runAll(): Promise<void> {
  if (chosen.length === 0) throw new Error(`no scenario is called ${values.only}: see --list`);
  const rows = new Map(readTable('chaos').map((row) => [row[0] ?? '', row]));
  for (const scenario of chosen) {
    if (scenario.needsRoot === true && process.getuid?.() !== 0) {
      console.log(`SKIPPED ${scenario.name}: it needs root`);
      continue;
    }
    const outcome = await runScenario(scenario);
    show(outcome);
    rows.set(scenario.name, rowOf(outcome));
    if (outcome.violations.length > 0) process.exitCode = 1;
    if (values.report === 'docs') {
      const table = all.flatMap(({ name }) => [rows.get(name) ?? []].filter((row) => row.length > 0));
      writeTable('chaos', head, table);
    }
  }
  console.log(process.exitCode === 1 ? 'there are violations' : `${chosen.length} scenarios, no violation`);
}

function rowOf({ scenario, calls, unknown, successPercent, recovery, violations, note }: Outcome): string[] {
  const seconds = (ms: number): string => (ms / 1_000).toFixed(1);
  const again =
    recovery === null ? '–' : `${seconds(recovery.p50)}, ${seconds(recovery.p99)}, ${seconds(recovery.last)} s`;
  return [
    ...[scenario.name, scenario.what, String(calls), String(unknown), `${successPercent.toFixed(1)} %`],
    ...[again, violations.length === 0 ? '0' : `**${violations.length}**`, note === '' ? '–' : note],
  ];
}

function show(outcome: Outcome): void {
  const [name = '', , calls, unknown, good, again, violations, note] = rowOf(outcome);
  console.log(
    `${name.padEnd(32)} ${calls} calls, ${unknown} unknown, ${good} good; again after ${again}; ${violations} violations; ${note}`,
  );
  for (const violation of outcome.violations.slice(0, 20)) console.log(`  VIOLATION ${violation}`);
}
