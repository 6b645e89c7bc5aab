import type { ColdPlan } from './jobs.js';
import type { LoadResult } from './latencies.js';
import type { Value } from './payload.js';

/** Something that answers calls with what they carry, as a load generator sees it. */
export interface Target {
  call(value: Value): Promise<Value>;
  /** How many calls have run there; absent where nobody counts. */
  executed?(): Promise<number>;
  close(): Promise<void>;
}

/** One that has instances by name. */
export interface ColdTarget extends Target {
  /** Names that nobody has used, each with its first call. */
  coldNames(plan: ColdPlan): Promise<LoadResult>;
}
