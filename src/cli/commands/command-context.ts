import type { Clock } from '../../common/clock.js';
import type { Terminal } from '../output/terminal.js';

/** What every command gets from the process that it runs in. */
export interface CommandContext {
  readonly terminal: Terminal;
  readonly env: NodeJS.ProcessEnv;
  readonly clock: Clock;
  /** Aborted by the first Ctrl-C or SIGTERM: finish and end. */
  readonly signal: AbortSignal;
}
