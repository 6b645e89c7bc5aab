/** Real faults: `npm run chaos [-- --only NAME]`. See docs/reliability.md. */
import { parseArgs } from 'node:util';
import { Clocks } from './clocks.js';
import {
  keepResult,
  type Result,
  readResults,
  resultOfScenario,
  resultOfSoak,
  showResult,
  writeReport,
} from './results.js';
import { runScenario } from './run-scenario.js';
import type { Scenario } from './scenario.js';
import * as clocks from './scenarios/clocks.js';
import * as limits from './scenarios/limits.js';
import * as network from './scenarios/network.js';
import { poolScenarios } from './scenarios/pools.js';
import * as processFaults from './scenarios/process-faults.js';
import * as requests from './scenarios/requests.js';
import * as stores from './scenarios/stores.js';
import { runSoak } from './soak.js';
import { World } from './world.js';

const usage = `npm run chaos -- [options]
  --only NAMES   those of these names, separated by commas; else whose name has this in it. Without it all but
                 pool-many-spawned-calls, which takes minutes
  --short        those that CI runs
  --list         their names, and nothing else
  --calls N      of the scenario of spawned calls, default 20000
  --many N       of the one of very many, default 1000000
  --soak N       then the soak, for N minutes
  --json FILE    adds what came of each to this file, a line each, as soon as it is known
  --rest         only what the file of --json lacks, or has with violations: goes on with a run that was broken off
  --from FILES   runs nothing: takes what these files have, separated by commas
  --report docs  writes the tables of docs/reliability.md; rows without a result stay
  --help`;

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    short: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
    calls: { type: 'string', default: '20000' },
    many: { type: 'string', default: '1000000' },
    soak: { type: 'string' },
    json: { type: 'string' },
    rest: { type: 'boolean', default: false },
    from: { type: 'string' },
    report: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
const pools = poolScenarios({ calls: Number(values.calls), many: Number(values.many) });
const all: readonly Scenario[] = [processFaults, stores, network, requests, clocks, limits, pools].flatMap((group) =>
  Object.values<Scenario>(group),
);
const chosen = all.filter(
  ({ name, isShort = false, isLong = false }) =>
    (values.only === undefined
      ? !isLong || values.list
      : values.only.split(',').some((wanted) => isMeant(name, wanted))) &&
    (!values.short || isShort),
);
World.closeOnSignals();
if (values.help) console.log(usage);
else if (values.list) for (const { name, what } of chosen) console.log(`${name.padEnd(32)} ${what}`);
else await report();

function isMeant(name: string, wanted: string): boolean {
  return all.some((scenario) => scenario.name === wanted) ? name === wanted : name.includes(wanted);
}

async function report(): Promise<void> {
  if (chosen.length === 0) throw new Error(`no scenario is called ${values.only}: see --list`);
  const startedAt = performance.now();
  const results = values.from === undefined ? await runAll() : readResults(values.from.split(','));
  if (values.from !== undefined) for (const result of results) showResult(result);
  if (values.report === 'docs') write(results);
  const bad = results.filter(({ isGood }) => !isGood).map(({ name }) => name);
  const minutes = ((performance.now() - startedAt) / 60_000).toFixed(1);
  console.log(
    `${results.length} results in ${minutes} min: ${bad.length === 0 ? 'no violation' : `violations in ${bad}`}`,
  );
  if (bad.length > 0) process.exitCode = 1;
}

async function runAll(): Promise<Result[]> {
  const before = values.rest && values.json !== undefined ? readResults([values.json]) : [];
  const results = new Map(before.filter(({ isGood }) => isGood).map((result) => [result.name, result]));
  const add = (result: Result): void => {
    results.set(result.name, result);
    showResult(result);
    if (values.json !== undefined) keepResult(values.json, result);
    // A run that is broken off has written what it has.
    if (values.report === 'docs') write([result]);
  };
  for (const scenario of chosen) {
    if (results.has(scenario.name)) continue;
    const lacking = lackingFor(scenario);
    if (lacking !== null) console.log(`SKIPPED ${scenario.name}: it needs ${lacking}`);
    else add(resultOfScenario(await runScenario(scenario)));
  }
  if (values.soak !== undefined && !results.has('soak')) add(resultOfSoak(await runSoak(Number(values.soak))));
  return [...results.values()];
}

function lackingFor({ needsRoot = false, setup }: Scenario): string | null {
  if (needsRoot && process.getuid?.() !== 0) return 'root';
  return setup.clocks === true && !Clocks.canBeMade() ? 'a C compiler, `cc`' : null;
}

function write(results: readonly Result[]): void {
  writeReport(
    results,
    all.map(({ name }) => name),
  );
}
