/** The mutation check: `npm run sim:mutations`. See docs/reliability.md. */
import { parseArgs } from 'node:util';
import { readTable, writeTable } from '../report.js';
import { allMutations } from './all-mutations.js';
import { Mutant, sourcesHash } from './mutant.js';
import type { Mutation } from './mutation.js';
import { type Found, readProgress, writeProgress } from './progress.js';

const usage = `npm run sim:mutations -- [options]
  --only WORDS     those whose name contains WORDS
  --missing        those without a row in docs/reliability.md
  --seeds N        seeds that each gets (default 1000)
  --seconds S      stop after about S seconds; the next run goes on from there
  --jobs N         processes at once (default: as many as cores)
  --anew           forget what earlier runs have found of these sources
  --report docs    write what is decided into the table of docs/reliability.md; other rows stay
  --list           what there is, and how far it has come
  --help`;

/** Between two looks at the time. */
const seedsAtOnce = 25;
const head = ['without this guard', 'rule', 'first seed that is red', 'what breaks'];

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    missing: { type: 'boolean', default: false },
    seeds: { type: 'string', default: '1000' },
    seconds: { type: 'string', default: 'Infinity' },
    jobs: { type: 'string' },
    anew: { type: 'boolean', default: false },
    report: { type: 'string' },
    list: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
const seeds = positive('--seeds', values.seeds);
const seconds = positive('--seconds', values.seconds);
const jobs = values.jobs === undefined ? null : positive('--jobs', values.jobs);
if (values.report !== undefined && values.report !== 'docs')
  throw new Error(`--report is ${values.report}: expected docs`);

if (values.help) console.log(usage);
else await check();

async function check(): Promise<void> {
  const endsAt = process.uptime() + seconds;
  const sources = sourcesHash();
  const rows = new Map(readTable('mutations').map((row) => [row[0], row]));
  const chosen = allMutations.filter(
    ({ name }) => (values.only === undefined || name.includes(values.only)) && !(values.missing && rows.has(name)),
  );
  if (chosen.length === 0) throw new Error('no mutation has such a name; --list tells them');
  const progress = readProgress();
  for (const { name } of chosen) {
    const known = progress.get(name);
    if (known === undefined || known.sources !== sources || (values.anew && !values.list))
      progress.set(name, { sources, until: 0, red: null });
  }
  for (const mutation of chosen) {
    if (values.list) {
      console.log(`${textOf(progress.get(mutation.name))}: ${mutation.name}`);
      continue;
    }
    const found = await go(mutation, { progress, endsAt });
    if (!isDecided(found)) continue;
    if (values.report === 'docs') report(mutation, found, rows);
    if (found.red === null) process.exitCode = 1;
  }
}

async function go(
  mutation: Mutation,
  { progress, endsAt }: { readonly progress: Map<string, Found>; readonly endsAt: number },
): Promise<Found> {
  let found = progress.get(mutation.name) ?? { sources: '', until: 0, red: null };
  if (isDecided(found) || process.uptime() >= endsAt) return found;
  const mutant = new Mutant(mutation);
  try {
    while (!isDecided(found) && process.uptime() < endsAt) {
      const count = Math.min(seedsAtOnce, seeds - found.until);
      const red = await mutant.firstRed({ first: found.until + 1, count, jobs });
      found = { ...found, until: found.until + count, red };
      progress.set(mutation.name, found);
      writeProgress(progress);
    }
  } finally {
    mutant.remove();
  }
  console.log(`${textOf(found)}: ${mutation.name}`);
  return found;
}

function isDecided({ red, until }: Found): boolean {
  return red !== null || until >= seeds;
}

function textOf(found: Found | undefined): string {
  if (found === undefined || (found.until === 0 && found.red === null)) return 'not run';
  if (found.red !== null) return `red at seed ${found.red.seed} (${found.red.rule})`;
  return isDecided(found) ? `NOT SEEN in ${found.until} seeds` : `not seen yet, in ${found.until} of ${seeds} seeds`;
}

function report(mutation: Mutation, { red }: Found, rows: Map<string | undefined, readonly string[]>): void {
  const seed = red === null ? `**none** of ${seeds}` : String(red.seed);
  rows.set(mutation.name, [mutation.name, mutation.keeps, seed, red?.rule ?? '']);
  const table = allMutations.flatMap(({ name }) => [rows.get(name) ?? []].filter((row) => row.length > 0));
  writeTable('mutations', head, table);
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (value >= 1) return value;
  throw new Error(`${name} is ${JSON.stringify(text)}: expected a positive number`);
}
