import { bareSandbox, clusterOf, holdfast } from '../lineup/contenders.js';
import { Lineup } from '../lineup/lineup.js';
import type { SandboxPlan } from '../load/sandbox-steps.js';
import { formatNumber, formatSpread } from '../report/format.js';
import { type CallRow, callRows, megabytesPerSecond, type Row } from '../report/row.js';
import type { Table } from '../report/table.js';
import { callsOf } from './loads.js';
import type { Bench, Scenario } from './scenario.js';

const fileBytes = 268_435_456;
const quickFileBytes = 1_048_576;
/** In which a worker that does nothing else has a warm sandbox again. */
const pauseMs = 300;

type Step = Omit<SandboxPlan, 'bytes'> & { readonly name: string; readonly moves: boolean };

const steps: readonly Step[] = [
  { name: 'create', step: 'create', sandbox: 'shell', times: 8, pauseMs, moves: false },
  { name: 'create-cold', step: 'create', sandbox: 'cold', times: 4, pauseMs, moves: false },
  { name: 'exec', step: 'exec', sandbox: 'shell', times: 200, pauseMs: 0, moves: false },
  { name: 'upload', step: 'upload', sandbox: 'shell', times: 1, pauseMs: 0, moves: true },
  { name: 'download', step: 'download', sandbox: 'shell', times: 1, pauseMs: 0, moves: true },
];

const titles: Readonly<Record<string, string>> = {
  create: 'create to first exec done, from the pool',
  'create-cold': 'create to first exec done, cold',
  exec: 'exec of /bin/true in one that lives',
  upload: 'upload of a file',
  download: 'download of a file',
};

/** What a user waits for, beside what the same takes without us. */
export const sandboxes: Scenario = {
  name: 'sandboxes',
  title: 'sandboxes: create, exec, files; beside bubblewrap, nsenter and the plain disk',
  run: (bench) => bench.cores.pollingDuring(() => measureSteps('sandboxes', bench)),
  tables: stepTables,
};

/** Each hop and each new process wakes a core that slept: what a machine that does nothing else shows. */
export const sandboxesOnIdleCores: Scenario = {
  name: 'sandboxes-idle',
  title: 'the same, where nothing keeps the cores of the machine awake',
  run: (bench) => bench.cores.asleepDuring(() => measureSteps('sandboxes-idle', bench)),
  tables: stepTables,
};

async function measureSteps(scenario: string, { settings, signal, say }: Bench): Promise<Row[]> {
  const product = { ...holdfast, floor: bareSandbox.name, cluster: clusterOf(1, scenario) };
  await using lineup = await Lineup.open([bareSandbox, product], signal);
  const rows: Row[] = [];
  for (const { name, moves, ...step } of steps) {
    say(titles[name] ?? name);
    const bytes = moves ? (settings.isQuick ? quickFileBytes : fileBytes) : 0;
    const plan = { ...step, times: settings.isQuick ? 1 : step.times, bytes };
    // The first repetition compiles what the others use.
    const found = await lineup.inTurn(settings.repetitions + 1, (contender) => contender.measure('sandbox', plan));
    const warm = [...found].map(([contender, measured]) => {
      const target = {
        name: `${contender.name} ${name}`,
        title: contender.title,
        floor: `${bareSandbox.name} ${name}`,
      };
      return [target, measured.slice(1)] as const;
    });
    rows.push(...callRows({ scenario, callers: 1, payloadBytes: bytes, thinkMs: 0 }, new Map(warm)));
  }
  return rows;
}

function stepTables(rows: readonly Row[]): Table[] {
  const calls = callsOf(rows);
  return [
    timesTable(calls.filter((row) => row.payloadBytes === 0)),
    ratesTable(calls.filter((row) => row.payloadBytes > 0)),
  ];
}

function timesTable(rows: readonly CallRow[]): Table {
  return {
    header: ['what', 'target', 'p50 ms', 'p99 ms', 'spread'],
    rows: rows.map((row) => [
      ...[titleOf(row), row.title],
      ...[(row.p50Us.median / 1_000).toFixed(2), (row.p99Us.median / 1_000).toFixed(2), formatSpread(row.p50Us)],
    ]),
    notes: [],
  };
}

function ratesTable(rows: readonly CallRow[]): Table {
  return {
    header: ['what', 'bytes', 'target', 'MB/s', 'spread'],
    rows: rows.map((row) => [
      ...[titleOf(row), row.payloadBytes, row.title],
      ...[formatNumber(megabytesPerSecond(row)), formatSpread(row.callsPerSecond)],
    ]),
    notes: [],
  };
}

function titleOf({ target }: CallRow): string {
  return titles[target.slice(target.indexOf(' ') + 1)] ?? target;
}
