import { writeFileSync } from 'node:fs';
import { parseOptions, usage } from './options.js';
import { describeMachine } from './report/machine.js';
import { printMachine } from './report/print.js';
import type { Row } from './report/row.js';
import { coldNames } from './scenarios/cold-names.js';
import { firstCall } from './scenarios/first-call.js';
import { generator } from './scenarios/generator.js';
import { outOfStep } from './scenarios/out-of-step.js';
import { payloads } from './scenarios/payloads.js';
import { profileProduct } from './scenarios/profile.js';
import type { Bench, Scenario } from './scenarios/scenario.js';
import { warmCalls } from './scenarios/warm-calls.js';

const scenarios: readonly Scenario[] = [warmCalls, outOfStep, payloads, generator, coldNames, firstCall];

function chosen(only: readonly string[] | null): readonly Scenario[] {
  if (only === null) return scenarios;
  const names = scenarios.map((scenario) => scenario.name);
  const unknown = only.find((name) => !names.includes(name));
  if (unknown !== undefined) throw new Error(`no scenario '${unknown}'; expected ${names.join(', ')}`);
  return scenarios.filter((scenario) => only.includes(scenario.name));
}

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  if (options === null) {
    console.log(`${usage}\n\nScenarios:`);
    for (const { name, title } of scenarios) console.log(`  ${name.padEnd(12)} ${title}`);
    return;
  }
  const interrupted = new AbortController();
  // The first Ctrl-C ends the run in order, a second one at once.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupted.abort());
  const { settings, jsonFile, profileFolder } = options;
  const startedAt = new Date().toISOString();
  const machine = describeMachine();
  const rows: Row[] = [];
  console.log(printMachine(machine));
  const say = (text: string): void => {
    if (process.stderr.isTTY) process.stderr.write(`  ${text}\n`);
  };
  const bench: Bench = { settings, signal: interrupted.signal, say };
  try {
    for (const scenario of chosen(options.only)) {
      const found = await scenario.run(bench);
      rows.push(...found);
      console.log(`\n${scenario.title}\n${scenario.print(found)}`);
    }
    if (profileFolder !== null) console.log((await profileProduct(profileFolder, bench)).join('\n'));
  } catch (error) {
    if (!interrupted.signal.aborted) throw error;
    console.error('interrupted');
    process.exitCode = 130;
  } finally {
    // What was measured before a failure is worth keeping.
    if (jsonFile !== null)
      writeFileSync(jsonFile, `${JSON.stringify({ startedAt, machine, settings, rows }, null, 2)}\n`);
  }
}

await main();
