import { calls } from './calls.js';
import { failover } from './failover.js';
import { loans } from './loans.js';
import type { Mutation } from './mutation.js';
import { placing } from './placing.js';
import { pools } from './pools.js';
import { spawned } from './spawned.js';
import { state } from './state.js';

/** In the order of the table of docs/reliability.md. */
export const allMutations: readonly Mutation[] = [
  ...placing,
  ...failover,
  ...calls,
  ...pools,
  ...loans,
  ...state,
  ...spawned,
];
