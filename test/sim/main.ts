/** The simulation: `npm run sim -- --seeds N --seed S`. See docs/reliability.md. */
import './engine/globals.js';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';

const usage = `npm run sim -- [options]
  --seeds N    how many worlds (default 1000)
  --seed S     the first of them (default 1); with one seed its trace is printed
  --jobs N     processes at once (default: as many as cores)
  --until-red  stop at the first seed that fails
  --quiet      no trace and no shorter plan of what fails
  --help`;

const { values } = parseArgs({
  options: {
    seeds: { type: 'string' },
    seed: { type: 'string' },
    jobs: { type: 'string' },
    'until-red': { type: 'boolean', default: false },
    quiet: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

if (values.help) {
  console.log(usage);
} else {
  // Later than the globals that the product's modules take.
  const { simulate } = await import('./simulate.js');
  process.exitCode = await simulate({
    first: number('--seed', values.seed, 1),
    count: number('--seeds', values.seeds, values.seed === undefined ? 1_000 : 1),
    jobs: number('--jobs', values.jobs, availableParallelism()),
    untilRed: values['until-red'],
    isQuiet: values.quiet,
  });
}

function number(name: string, text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 1) return value;
  throw new Error(`${name} is ${JSON.stringify(text)}: expected a positive integer`);
}
