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
  /** Its time had not come. */
  readonly isAhead: boolean;
}

/** Instances that are to be looked at before their time. */
export interface Ahead {
  /** Whoever is expected by then is not meant: somebody has seen to those. */
  readonly fromMs: number;
  /** Those who are expected within that are. */
  readonly withinMs: number;
}

/** What was claimed, at which time. */
export interface AlarmClaims {
  readonly nowMs: number;
  readonly claims: readonly AlarmClaim[];
  /** Of those ahead whoever is expected by then is claimed; from there the next claim goes on. */
  readonly seenMs: number;
}

/**
 * When to look at which instance: in other slots than their durable state, which alone says whether an alarm stands (A1).
 * Whoever sets an alarm says first that it is expected; who looks finds out the rest. Times are those of the store's clock.
 */
export interface AlarmStore {
  /** Somebody looks then, or before. Whoever is looking now cannot take that back. @throws Unavailable */
  expect(account: string, key: InstanceKey, atMs: number): Promise<void>;
  /** Those whose time has come, then those ahead; nobody else gets them before the claim is over. @throws Unavailable */
  claim(
    account: string,
    claim: { readonly limit: number; readonly forMs: number; readonly ahead?: Ahead },
  ): Promise<AlarmClaims>;
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
