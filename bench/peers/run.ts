import { writeFileSync } from 'node:fs';
import { describeMachine, type Machine } from '../report/machine.js';
import { printCalls, printCpu, printMachine } from '../report/print.js';
import type { Row } from '../report/row.js';
import type { Bench } from '../scenarios/scenario.js';
import { type MemoryRow, measureColdNames } from './cold-names.js';
import { compareWithPeers } from './comparison.js';
import { type Absence, Contest } from './contest.js';
import { installPeers } from './install.js';
import { parsePeerOptions, usage } from './options.js';
import { printAbsences, printColdNames, printComparison } from './print.js';
import { measureWarmCalls } from './warm-calls.js';

/** Where the CPU time by process is shown. */
const cpuCallers = 64;

/** What was measured so far; `--json` writes it, also of a run that failed. */
interface Report {
  rows: Row[];
  memory: MemoryRow[];
  absences: Absence[];
}

async function measureAll(report: Report, contest: Contest, bench: Bench): Promise<void> {
  report.absences = contest.absences;
  report.rows.push(...(await measureWarmCalls(contest, bench)));
  console.log(`\nwarm calls of one named instance, 100 B\n${printCalls(report.rows)}`);
  const cpuRows = report.rows.filter((row) => row.callers === cpuCallers);
  if (cpuRows.length > 0) console.log(`\n${printCpu(cpuRows)}`);

  const { rows, memory } = await measureColdNames(contest, bench);
  report.rows.push(...rows);
  report.memory = memory;
  console.log(`\nnew names, each with its first call, 8 callers\n${printColdNames(rows, memory)}`);
  const comparison = compareWithPeers(report.rows);
  if (comparison.length > 0) console.log(`\n${printComparison(comparison)}`);
  if (contest.absences.length > 0) console.log(`\n${printAbsences(contest.absences)}`);
}

async function main(): Promise<void> {
  const options = parsePeerOptions(process.argv.slice(2));
  if (options === null) return console.log(usage);
  const interrupted = new AbortController();
  // The first Ctrl-C ends the run in order, a second one at once.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupted.abort());
  const { settings, jsonFile } = options;
  const startedAt = new Date().toISOString();
  const machine = withPeers(describeMachine(), installPeers());
  const report: Report = { rows: [], memory: [], absences: [] };
  console.log(printMachine(machine));
  const say = (text: string): void => {
    if (process.stderr.isTTY) process.stderr.write(`  ${text}\n`);
  };
  const bench: Bench = { settings, signal: interrupted.signal, say };
  try {
    await using contest = await Contest.open(options.peers, bench);
    await measureAll(report, contest, bench);
  } catch (error) {
    if (!interrupted.signal.aborted) throw error;
    console.error('interrupted');
    process.exitCode = 130;
  } finally {
    if (jsonFile !== null) {
      const comparison = compareWithPeers(report.rows);
      const found = { startedAt, machine, settings, ...report, comparison };
      writeFileSync(jsonFile, `${JSON.stringify(found, null, 2)}\n`);
    }
  }
}

/** Set apart: one of them is an older line of a package that the product has, too. */
function withPeers(machine: Machine, versions: Readonly<Record<string, string>>): Machine {
  const peers = Object.entries(versions).map(([name, version]) => [`peers/${name}`, version]);
  return { ...machine, versions: { ...machine.versions, ...Object.fromEntries(peers) } };
}

await main();
