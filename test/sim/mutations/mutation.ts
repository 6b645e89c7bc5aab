import type { WorldKind } from '../plan/world-kinds.js';

/** One guard of the product, taken out. */
export interface Mutation {
  readonly name: string;
  /** Of docs/semantics.md. */
  readonly keeps: string;
  readonly changes: readonly Change[];
  /** Its guard does nothing in worlds of another kind: those need not be run. */
  readonly only?: WorldKind;
}

interface Change {
  readonly file: string;
  /** In the file exactly once: a guard that has moved must be found again by a person. */
  readonly from: string;
  readonly to: string;
}
