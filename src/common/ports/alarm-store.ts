import type { InstanceKey } from '../ids.js';
import type { StateOwner } from './state-store.js';

/** The alarm of an instance; it lies in its durable state. */
export interface Alarm {
  /** Of the commit that set it. */
  readonly id: string;
  /** What it was set for, ms since 1970. */
  readonly atMs: number;
  /** When it rings: that, or a later attempt. */
  readonly dueMs: number;
  /** That have failed. */
  readonly failures: number;
}

/** An instance that somebody has to look at, given to one router for a while. */
export interface AlarmClaim {
  readonly key: InstanceKey;
  /** Then others may have it; also what this claim is known by. */
  readonly untilMs: number;
}

/**
 * When to look at which instance: in other slots than their durable state, which alone says whether an alarm stands (A1).
 * Whoever sets an alarm says first that it is expected; who looks finds out the rest. Times are those of the store's clock.
 */
export interface AlarmStore {
  /** Somebody looks then, or before. Whoever is looking now cannot take that back. @throws Unavailable */
  expect(account: string, key: InstanceKey, atMs: number): Promise<void>;
  /** Those whose time has come, or comes within `aheadMs`; nobody else gets them before it is over. @throws Unavailable */
  claim(
    account: string,
    claim: { readonly limit: number; readonly forMs: number; readonly aheadMs?: number },
  ): Promise<{ readonly nowMs: number; readonly claims: readonly AlarmClaim[] }>;
  /** Look again then; null: no more. Nothing happens where it was expected again meanwhile. @throws Unavailable */
  lookAgain(account: string, claim: AlarmClaim, atMs: number | null): Promise<void>;
  /** Null where none stands. @throws Unavailable */
  get(key: InstanceKey): Promise<Alarm | null>;
  /**
   * Its method has returned (null), or failed and is called again after that: then `dueMs` says when. Nothing happens where another
   * one was set meanwhile, or none. `stale`: the activation is over. @throws Unavailable
   */
  ended(
    owner: StateOwner,
    id: string,
    retryAfterMs: number | null,
  ): Promise<{ readonly dueMs: number | null } | 'stale'>;
}
