import type { BootId, WorkerId } from './ids.js';

/** Times of the lease protocol (S6–S8); configurable together, never one by one. */
export interface LeaseTimes {
  /** Life of a lease in the store after its last renewal. */
  readonly ttlMs: number;
  readonly renewEveryMs: number;
  /** Without a good renewal for this long (monotonic, from before it was sent) a worker is fenced. */
  readonly fenceAfterMs: number;
  /** Added to an observed expiry before anyone else may activate. */
  readonly graceMs: number;
  /** Of one operation of the store: one that hangs, and a new connection, must not cost a worker its lease. */
  readonly storeTimeoutMs: number;
}

export const defaultLeaseTimes: LeaseTimes = {
  ttlMs: 15_000,
  renewEveryMs: 1_000,
  fenceAfterMs: 11_000,
  graceMs: 1_500,
  storeTimeoutMs: 3_000,
};

/** The proportions of the default, for another TTL. */
export function leaseTimes(ttlMs: number): LeaseTimes {
  if (ttlMs === defaultLeaseTimes.ttlMs) return defaultLeaseTimes;
  const scale = ttlMs / defaultLeaseTimes.ttlMs;
  return {
    ttlMs,
    renewEveryMs: Math.max(100, Math.round(scale * 1_000)),
    fenceAfterMs: Math.round(scale * 11_000),
    graceMs: 1_500,
    storeTimeoutMs: Math.min(defaultLeaseTimes.storeTimeoutMs, Math.round(scale * defaultLeaseTimes.storeTimeoutMs)),
  };
}

export interface LeaseRecord {
  readonly bootId: BootId;
  readonly workerId: WorkerId;
  readonly account: string;
  /** `host:port` of the data path. */
  readonly address: string;
}

/**
 * What the store knows of a boot. `released`: its watchdog saw its containers dead and said so, a successor may start at
 * once. `absent`: expired or never there, a successor may start `graceMs` after that was first seen (S8).
 */
export type LeaseState =
  | { readonly phase: 'held'; readonly lease: LeaseRecord; readonly remainingMs: number }
  | { readonly phase: 'released' }
  | { readonly phase: 'absent' };
