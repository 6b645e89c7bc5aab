import type { Row } from '../report/row.js';

/** The product beside the best peer in one figure. */
export interface Comparison {
  readonly figure: string;
  readonly holdfast: number;
  readonly peer: string;
  readonly best: number;
  /** Holdfast's figure as a multiple of the best peer's. */
  readonly ratio: number;
  /** What the ratio has to reach, and what it should. */
  readonly bar: number;
  readonly aim: number;
  readonly isReached: boolean;
}

interface Figure {
  readonly figure: string;
  readonly scenario: string;
  readonly callers: number;
  readonly of: (row: Row) => number;
  readonly isBetterLow: boolean;
  readonly bar: number;
  readonly aim: number;
}

const rate = { of: (row: Row) => row.callsPerSecond.median, isBetterLow: false };
const figures: readonly Figure[] = [
  {
    ...{ figure: 'p50 µs of a warm call, 1 caller', scenario: 'peers-warm', callers: 1, bar: 0.85, aim: 0.6 },
    ...{ of: (row) => row.p50Us.median, isBetterLow: true },
  },
  { ...rate, figure: 'warm calls/s, 64 callers', scenario: 'peers-warm', callers: 64, bar: 1.5, aim: 2.5 },
  { ...rate, figure: 'warm calls/s, 256 callers', scenario: 'peers-warm', callers: 256, bar: 1.5, aim: 2.5 },
  { ...rate, figure: 'new names/s, 8 callers', scenario: 'peers-cold', callers: 8, bar: 1, aim: 2 },
];
const ownTargets = ['holdfast', 'tcp-container'];

/** Figures that both the product and at least one peer have. */
export function compareWithPeers(rows: readonly Row[]): Comparison[] {
  return figures.flatMap(({ figure, scenario, callers, of, isBetterLow, bar, aim }) => {
    const measured = rows.filter((row) => row.scenario === scenario && row.callers === callers);
    const own = measured.find((row) => row.target === 'holdfast');
    const [best] = measured
      .filter((row) => !ownTargets.includes(row.target))
      .sort((a, b) => (isBetterLow ? of(a) - of(b) : of(b) - of(a)));
    if (own === undefined || best === undefined) return [];
    const ratio = of(own) / of(best);
    const isReached = isBetterLow ? ratio <= bar : ratio >= bar;
    return { figure, holdfast: of(own), peer: best.target, best: of(best), ratio, bar, aim, isReached };
  });
}
