/** Monotonic milliseconds, comparable across processes of one host, never across hosts. */
export type Monotonic = number;

export interface Clock {
  /** Wall time, ms since 1970. For records and people, never for leases. */
  now(): number;
  /** Monotonic time with fractions; the same origin for every process of the host (CLOCK_MONOTONIC). */
  monotonic(): Monotonic;
  /** Resolves after `ms`; rejects with the signal's reason when it aborts first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Runs `task` once after `ms`, unless cancelled. Does not keep the process alive. */
  after(ms: number, task: () => void): Timer;
}

export interface Timer {
  cancel(): void;
}

export interface Random {
  /** In [0, 1). */
  next(): number;
  bytes(count: number): Uint8Array;
}
