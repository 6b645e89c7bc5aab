import type { Row } from '../report/row.js';

export interface Settings {
  readonly repetitions: number;
  /** Of one repetition. */
  readonly seconds: number;
  /** Before anything is measured: gRPC is compiled well only after 25 000 calls. */
  readonly warmupCalls: number;
  /** Fewer and smaller loads: does it run? */
  readonly isQuick: boolean;
}

export interface Bench {
  readonly settings: Settings;
  readonly signal: AbortSignal;
  /** Tells whoever watches what goes on. */
  say(text: string): void;
}

/** One question, and the rows that answer it. */
export interface Scenario {
  readonly name: string;
  readonly title: string;
  run(bench: Bench): Promise<Row[]>;
  print(rows: readonly Row[]): string;
}
