/** The mutation check: `npm run sim:mutations`. See docs/reliability.md. */
import { availableParallelism } from 'node:os';
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
  --jobs N         mutations at once (default: as many as cores)
  --anew           forget what earlier runs have found of these sources
  --report docs    write what is decided into the table of docs/reliability.md; other rows stay
  --list           what there is, and how far it has come
  --help`;

/** Each mutation gets seeds up to the first of these before one gets more. */
const rounds = [50, 200, 500, Infinity];
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
const jobs = values.jobs === undefined ? availableParallelism() : positive('--jobs', values.jobs);
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
  if (!values.list) for (const until of rounds) await round(chosen, { progress, until, endsAt, rows });
  for (const { name } of chosen) {
    const found = progress.get(name);
    console.log(`${textOf(found)}: ${name}`);
    if (found?.red === null && isDecided(found)) process.exitCode = 1;
  }
}

interface Round {
  readonly progress: Map<string, Found>;
  /** A seed: most guards are seen to be gone within a few, so that the others have the time that is left. */
  readonly until: number;
  readonly endsAt: number;
  readonly rows: Map<string | undefined, readonly string[]>;
}

async function round(chosen: readonly Mutation[], on: Round): Promise<void> {
  const left = [...chosen];
  const job = async (): Promise<void> => {
    for (let mutation = left.shift(); mutation !== undefined; mutation = left.shift()) await go(mutation, on);
  };
  await Promise.all(Array.from({ length: jobs }, job));
}

async function go(mutation: Mutation, { progress, until, endsAt, rows }: Round): Promise<void> {
  const { name } = mutation;
  let found = progress.get(name) ?? { sources: '', until: 0, red: null };
  const isLeft = (): boolean => !isDecided(found) && process.uptime() < endsAt;
  const to = Math.min(until, seeds);
  if (found.until < to && isLeft()) {
    const mutant = await Mutant.make(mutation);
    const onHeld = (seed: number): boolean => {
      found = { ...found, until: seed };
      progress.set(name, found);
      writeProgress(progress);
      return isLeft();
    };
    try {
      const red = await mutant.firstRed({ from: found.until + 1, to, onHeld });
      if (red !== null) found = { ...found, until: red.seed, red };
    } finally {
      mutant.remove();
    }
    progress.set(name, found);
    writeProgress(progress);
    console.log(`${textOf(found)}: ${name}`);
  }
  if (isDecided(found) && values.report === 'docs') report(mutation, found, rows);
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
