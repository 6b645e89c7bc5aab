import { type BenchOptions, parseOptions, usage } from './options.js';
import { writeReport } from './report/document.js';
import { describeMachine, machineLines } from './report/machine.js';
import { readPeers } from './report/peers.js';
import type { CallRow, Row } from './report/row.js';
import { type Run, readRuns, writeRun } from './report/run-file.js';
import { tableText } from './report/table.js';
import { judge, verdictTable } from './report/verdicts.js';
import { wrap } from './report/wrap.js';
import { runBench } from './run-bench.js';
import { profileProduct } from './scenarios/profile.js';
import type { Scenario } from './scenarios/scenario.js';
import { scenarios } from './scenarios/scenarios.js';

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  if (options === null) return console.log(usage);
  // Read before anything is measured: a wrong file is said at once.
  const peers = options.peersFile === null ? null : readPeers(options.peersFile);
  if (options.from.length > 0) return report(options, readRuns(options.from), peers);
  const rows: Row[] = [];
  const { settings, jsonFile } = options;
  const run: Run = { startedAt: new Date().toISOString(), machine: describeMachine(), settings, rows };
  try {
    if (await measure(options, run, rows)) conclude(options, run, peers);
  } finally {
    // What was measured before a failure is worth keeping.
    if (jsonFile !== null) writeRun(jsonFile, { ...run, verdicts: judge(rows, peers) });
  }
}

/** @param rows where what is found goes, as it is found. @returns false: interrupted */
function measure(options: BenchOptions, { settings, machine }: Run, rows: Row[]): Promise<boolean> {
  return runBench(settings, async (bench) => {
    console.log(machineLines(machine).map(wrap).join('\n'));
    for (const scenario of options.scenarios) {
      const found = await scenario.run(bench);
      rows.push(...found);
      printScenario(scenario, found);
    }
    if (options.profileFolder !== null) console.log((await profileProduct(options.profileFolder, bench)).join('\n'));
  });
}

/** What was kept, as if it had just been measured. */
function report(options: BenchOptions, run: Run, peers: readonly CallRow[] | null): void {
  for (const scenario of scenarios) {
    const found = run.rows.filter((row) => row.scenario === scenario.name);
    if (found.length > 0) printScenario(scenario, found);
  }
  conclude(options, run, peers);
  if (options.jsonFile !== null) writeRun(options.jsonFile, { ...run, verdicts: judge(run.rows, peers) });
}

function conclude(options: BenchOptions, run: Run, peers: readonly CallRow[] | null): void {
  const verdicts = judge(run.rows, peers);
  // What a part of a run left open says nothing.
  const isWhole = options.scenarios.length === scenarios.length;
  const shown = isWhole ? verdicts : verdicts.filter(({ result }) => result !== 'open');
  if (shown.length > 0) console.log(`\nwhat it must reach\n${tableText(verdictTable(shown))}`);
  if (options.reportFolder !== null) writeReport(options.reportFolder, { run, verdicts, peers });
}

function printScenario(scenario: Scenario, rows: readonly Row[]): void {
  const tables = scenario.tables(rows).map(tableText);
  console.log(`\n${wrap(scenario.title)}\n${tables.join('\n\n')}`);
}

await main();
