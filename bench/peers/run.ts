import { describeMachine, type Machine, machineLines } from '../report/machine.js';
import type { Row } from '../report/row.js';
import { type KeptRun, writeRun } from '../report/run-file.js';
import { type Table, tableText } from '../report/table.js';
import { callTable, cpuTable, memoryTable } from '../report/tables.js';
import { judge, type Verdict, verdictTable } from '../report/verdicts.js';
import { wrap } from '../report/wrap.js';
import { runBench } from '../run-bench.js';
import { coldNames, earlyNames } from '../scenarios/cold-names.js';
import { callsOf } from '../scenarios/loads.js';
import type { Bench } from '../scenarios/scenario.js';
import { measureColdNames } from './cold-names.js';
import { type Absence, Contest } from './contest.js';
import { installPeers } from './install.js';
import { parsePeerOptions, usage } from './options.js';
import { measureWarmCalls } from './warm-calls.js';

/** Where the CPU time by process is shown. */
const cpuCallers = 64;

/** What `--json` writes, also of a run that failed. */
interface PeersRun extends KeptRun {
  readonly absences: readonly Absence[];
}

async function main(): Promise<void> {
  const options = parsePeerOptions(process.argv.slice(2));
  if (options === null) return console.log(usage);
  const { settings, jsonFile, peers } = options;
  const startedAt = new Date().toISOString();
  const machine = withPeers(describeMachine(), installPeers());
  const rows: Row[] = [];
  const absences: Absence[] = [];
  try {
    await runBench(settings, async (bench) => {
      console.log(machineLines(machine).map(wrap).join('\n'));
      await using contest = await Contest.open(peers, { bench, absences });
      await measure(contest, bench, rows);
      print('what it must reach', verdictTable(verdictsOf(rows)));
      if (absences.length > 0) console.log('');
      for (const { title, why } of absences) console.log(`${title} is left out: ${why}`);
    });
  } finally {
    const found: PeersRun = { startedAt, machine, settings, rows, absences, verdicts: verdictsOf(rows) };
    if (jsonFile !== null) writeRun(jsonFile, found);
  }
}

/** @param rows where what is found goes, as it is found */
async function measure(contest: Contest, bench: Bench, rows: Row[]): Promise<void> {
  const warm = await measureWarmCalls(contest, bench);
  rows.push(...warm);
  const awake = warm.filter(({ scenario }) => scenario === 'warm');
  const idle = warm.filter((row) => !awake.includes(row));
  print('warm calls of one named instance, 100 B', callTable(awake));
  print('the same of one caller, where nothing keeps the cores of the machine awake', callTable(idle));
  const cpuRows = awake.filter((row) => row.callers === cpuCallers);
  if (cpuRows.length > 0) print('their CPU time by process', cpuTable(cpuRows));

  const { calls, memory } = await measureColdNames(contest, bench);
  rows.push(...calls, ...memory);
  for (const { name, title } of [coldNames, earlyNames]) {
    print(
      title,
      callTable(
        calls.filter(({ scenario }) => scenario === name),
        { what: 'names/s' },
      ),
    );
  }
  print('what each leaves in memory, of all processes but the client', memoryTable(memory));
}

/** Of those figures that were measured here. */
function verdictsOf(rows: readonly Row[]): Verdict[] {
  return judge(rows, callsOf(rows)).filter(({ result }) => result !== 'open');
}

function print(title: string, table: Table): void {
  console.log(`\n${title}\n${tableText(table)}`);
}

/** Set apart: one of them is an older line of a package that the product has, too. */
function withPeers(machine: Machine, versions: Readonly<Record<string, string>>): Machine {
  const peers = Object.entries(versions).map(([name, version]) => [`peers/${name}`, version]);
  return { ...machine, versions: { ...machine.versions, ...Object.fromEntries(peers) } };
}

await main();
