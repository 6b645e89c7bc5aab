import type { Settings } from './scenarios/scenario.js';

/** Options that every benchmark has, as `parseArgs` takes them. */
export const commonOptions = {
  only: { type: 'string' },
  json: { type: 'string' },
  quick: { type: 'boolean', default: false },
  repetitions: { type: 'string' },
  seconds: { type: 'string' },
  help: { type: 'boolean', default: false },
} as const;

interface Given {
  readonly quick: boolean;
  readonly repetitions?: string | undefined;
  readonly seconds?: string | undefined;
}

/** What a benchmark does where nothing is said. */
export interface Usual {
  /** Of one repetition. */
  readonly seconds: number;
  /** Calls of a warm-up that only shows that it runs. */
  readonly quickWarmupCalls: number;
  /** New names of one. */
  readonly quickWarmupNames: number;
}

const usualRepetitions = 5;
const usualWarmupCalls = 25_000;
const usualWarmupNames = 25_000;

/** Lines of the usage for those of them that say how to measure. */
export function commonUsage({ seconds }: Usual): string {
  return `\
  --quick              short and small: shows that it runs, the figures mean nothing
  --repetitions N      of each measurement, in turn (default ${usualRepetitions})
  --seconds N          of one repetition (default ${seconds})`;
}

/** @throws for what is no number above 0 */
export function settingsOf(given: Given, usual: Usual): Settings {
  return {
    repetitions: positive('repetitions', given.repetitions, given.quick ? 1 : usualRepetitions),
    seconds: positive('seconds', given.seconds, given.quick ? 0.2 : usual.seconds),
    warmupCalls: given.quick ? usual.quickWarmupCalls : usualWarmupCalls,
    warmupNames: given.quick ? usual.quickWarmupNames : usualWarmupNames,
    isQuick: given.quick,
  };
}

/** Those that `only` names, or all, in their own order. @param what one of them is. @throws for a name that there is not */
export function chooseByName<T extends { readonly name: string }>(
  what: string,
  all: readonly T[],
  only: readonly string[] | null,
): readonly T[] {
  if (only === null) return all;
  const names = all.map(({ name }) => name);
  const unknown = only.find((name) => !names.includes(name));
  if (unknown !== undefined) throw new Error(`no ${what} '${unknown}'; expected ${names.join(', ')}`);
  return all.filter(({ name }) => only.includes(name));
}

function positive(name: string, text: string | undefined, otherwise: number): number {
  const value = text === undefined ? otherwise : Number(text);
  if (Number.isFinite(value) && value > 0) return value;
  throw new Error(`--${name} must be a number above 0, got '${text}'`);
}
