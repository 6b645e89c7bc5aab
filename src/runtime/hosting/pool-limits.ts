export interface PoolLimits {
  /** Containers that run a class at once; warm ones are not counted, whether they have loaded one or not. */
  readonly maxContainers: number;
  /** Generic containers that wait for a class. */
  readonly warm: number;
  /** What those are made for, and whether they can be given more. */
  readonly warmMemoryMb: number;
  readonly canGrow: boolean;
}
