import type { Setup, World } from './world.js';

/** What is done to a world of its own, in a file of its own; what must hold is checked after each in the same way. */
export interface Scenario {
  readonly name: string;
  /** One line for the table. */
  readonly what: string;
  /** Also in CI. */
  readonly isShort?: boolean;
  /** Takes minutes: only where it is asked for by its name. */
  readonly isLong?: boolean;
  /** Root, and `ip` or `mount`. */
  readonly needsRoot?: boolean;
  readonly setup: Setup;
  /** Worker and watchdog stand still together: nobody can end the code in time (S7, S11). */
  readonly mayOverlap?: boolean;
  /** Does it, and waits until all is well. Gives what is to be shown beside the usual figures. @throws what does not hold */
  run(world: World): Promise<string>;
}
