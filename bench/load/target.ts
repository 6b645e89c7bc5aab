import type { Value } from './payload.js';

/** Something that answers calls with what they carry, as a load generator sees it. */
export interface Target {
  call(value: Value): Promise<Value>;
  /** How many calls have run there; absent where nobody counts. */
  executed?(): Promise<number>;
  close(): Promise<void>;
}
