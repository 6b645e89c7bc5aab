/**
 * The mutation check: `npm run sim:mutations [-- --only WORDS --seeds N]`. Writes what it finds into the table of
 * docs/reliability.md, mutation by mutation; rows of those that it does not run stay.
 */
import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { readTable, writeTable } from '../report.js';
import { calls } from './calls.js';
import { failover } from './failover.js';
import type { Mutation } from './mutation.js';
import { placing } from './placing.js';
import { state } from './state.js';

const root = join(import.meta.dirname, '../../..');
const copied = ['package.json', 'tsconfig.json', 'tsconfig.base.json', 'src', 'test/sim'];

const { values } = parseArgs({
  options: { only: { type: 'string' }, seeds: { type: 'string', default: '1000' } },
});
const all = [...placing, ...failover, ...calls, ...state];
const chosen = all.filter(({ name }) => values.only === undefined || name.includes(values.only));
const rows = new Map(readTable('mutations').map((row) => [row[0], row]));
for (const mutation of chosen) {
  const { seed, rule } = await firstRed(mutation);
  rows.set(mutation.name, [
    mutation.name,
    mutation.keeps,
    seed === null ? `**none** of ${values.seeds}` : `${seed}`,
    rule,
  ]);
  const table = all.flatMap(({ name }) => [rows.get(name) ?? []].filter((row) => row.length > 0));
  writeTable('mutations', ['without this guard', 'rule', 'first seed that is red', 'what breaks'], table);
  console.log(`${seed === null ? 'NOT SEEN' : `red at seed ${seed} (${rule})`}: ${mutation.name}`);
  if (seed === null) process.exitCode = 1;
}

/** In a private copy of the sources, so that nobody else meets the mutant. */
async function firstRed(mutation: Mutation): Promise<{ readonly seed: number | null; readonly rule: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-mutant-'));
  try {
    for (const path of copied) cpSync(join(root, path), join(folder, path), { recursive: true });
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
    for (const { file, from, to } of mutation.changes) replace(join(folder, file), from, to);
    const output = await run(folder);
    const red = /^seed (\d+): ([a-z-]+):/m.exec(output);
    if (red === null && !/\d+ of \d+ seeds hold/.test(output)) throw new Error(`the mutant does not run:\n${output}`);
    return { seed: red === null ? null : Number(red[1]), rule: red?.[2] ?? '' };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function replace(path: string, from: string, to: string): void {
  const text = readFileSync(path, 'utf8');
  const parts = text.split(from);
  if (parts.length !== 2) throw new Error(`${path} has ${parts.length - 1} times, expected once: ${from}`);
  writeFileSync(path, parts.join(to));
}

function run(folder: string): Promise<string> {
  const script = ['--import', 'tsx', 'test/sim/main.ts', '--seeds', values.seeds, '--until-red', '--quiet'];
  const child = spawn(process.execPath, script, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  const collect = (bytes: Buffer): void => {
    output += bytes.toString('utf8');
  };
  child.stdout.on('data', collect);
  child.stderr.on('data', collect);
  return new Promise((resolve) =>
    child.on('close', (code, signal) => resolve(`${output}ended with ${signal ?? `code ${code}`}\n`)),
  );
}
