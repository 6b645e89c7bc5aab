import type { AwakeCores } from '../processes/cores.js';
import type { Row } from '../report/row.js';
import type { Table } from '../report/table.js';

export interface Settings {
  readonly repetitions: number;
  /** Of one repetition. */
  readonly seconds: number;
  /** Before anything is measured: gRPC is compiled well only after 25 000 calls. */
  readonly warmupCalls: number;
  /** The same for names that nobody has used: what makes an instance runs once for each. */
  readonly warmupNames: number;
  /** Fewer and smaller loads: does it run? */
  readonly isQuick: boolean;
}

export interface Bench {
  readonly settings: Settings;
  readonly signal: AbortSignal;
  /** Awake; who lets them sleep wakes them again. */
  readonly cores: AwakeCores;
  /** Tells whoever watches what goes on. */
  say(text: string): void;
}

/** One question, and the rows that answer it. */
export interface Scenario {
  readonly name: string;
  readonly title: string;
  run(bench: Bench): Promise<Row[]>;
  /** @param rows its own, of this run or of one that was kept */
  tables(rows: readonly Row[]): Table[];
}
