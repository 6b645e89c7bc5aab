import { parseArgs } from 'node:util';
import type { Settings } from './scenarios/scenario.js';

export interface BenchOptions {
  /** Names of scenarios; null: all of them. */
  readonly only: readonly string[] | null;
  readonly jsonFile: string | null;
  /** For CPU profiles of the product; null: none. */
  readonly profileFolder: string | null;
  readonly settings: Settings;
}

export const usage = `npm run bench -- [options]
  --only NAME[,NAME]   these scenarios alone
  --json FILE          write all rows there, too
  --quick              short and small: shows that it runs, the figures mean nothing
  --repetitions N      of each measurement, in turn (default 5)
  --seconds N          of one repetition (default 2)
  --prof FOLDER        CPU profiles of client, worker and container under 64 callers; measures only what --only names
  --help`;

/** Null: only the usage was wanted. @throws for options that there are not */
export function parseOptions(args: readonly string[]): BenchOptions | null {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string' },
      json: { type: 'string' },
      quick: { type: 'boolean', default: false },
      repetitions: { type: 'string' },
      seconds: { type: 'string' },
      prof: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return null;
  return {
    // Profiles alone, where nothing else was asked for.
    only: values.only?.split(',') ?? (values.prof === undefined ? null : []),
    jsonFile: values.json ?? null,
    profileFolder: values.prof ?? null,
    settings: {
      repetitions: positive('repetitions', values.repetitions, values.quick ? 1 : 5),
      seconds: positive('seconds', values.seconds, values.quick ? 0.2 : 2),
      warmupCalls: values.quick ? 500 : 25_000,
      isQuick: values.quick,
    },
  };
}

/** @throws for what is no number above 0 */
export function positive(name: string, text: string | undefined, otherwise: number): number {
  const value = text === undefined ? otherwise : Number(text);
  if (Number.isFinite(value) && value > 0) return value;
  throw new Error(`--${name} must be a number above 0, got '${text}'`);
}
