/** One guard of the product, taken out. */
export interface Mutation {
  readonly name: string;
  /** Of docs/semantics.md. */
  readonly keeps: string;
  readonly changes: readonly Change[];
}

interface Change {
  readonly file: string;
  /** In the file exactly once: a guard that has moved must be found again by a person. */
  readonly from: string;
  readonly to: string;
}
