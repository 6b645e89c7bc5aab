import type { Disturbance } from './disturbance.js';
import type { Value } from './payload.js';
import type { SandboxSteps } from './sandbox-steps.js';
import type { VolumePlaces } from './volume-steps.js';

/** Something that answers calls with what they carry, as a load generator sees it. What it cannot do is absent. */
export interface Target {
  /** @param turn which of its instances is called, modulo their number */
  call(value: Value, turn: number): Promise<Value>;
  /** How many calls have run there; absent where nobody counts. */
  executed?(): Promise<number>;
  /** The items of one generator: 0, 1, 2, and so on. */
  items?(count: number): AsyncIterable<number>;
  /** Calls somebody new; resolves with what ends it again. @param className for those who have classes */
  firstCall?(className: string, name: string): Promise<() => Promise<void>>;
  /** Asks where a named instance is, without calling it. */
  resolve?(className: string, name: string): Promise<void>;
  readonly sandbox?: SandboxSteps;
  readonly volumes?: VolumePlaces;
  /** A sandbox beside it begins to disturb; resolves with what ends that. */
  disturb?(what: Disturbance): Promise<() => Promise<void>>;
  /** Sends more calls than may wait, and checks that exactly the rest is refused. */
  checkLimits?(): Promise<void>;
  close(): Promise<void>;
}
