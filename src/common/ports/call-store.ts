import type { Epoch, InstanceKey } from '../ids.js';
import type { CallHead, CallId, CallProgress } from '../spawned-call.js';
import type { StateOwner } from './state-store.js';

/** A spawned call as it is kept, without its arguments. */
export interface CallRecord {
  readonly id: CallId;
  readonly head: CallHead;
  readonly progress: CallProgress;
}

/** One that has not ended, in the order in which it was admitted. */
export interface OpenCall extends CallRecord {
  readonly order: number;
}

export type CallChange =
  | { readonly kind: 'add'; readonly call: OpenCall; readonly args: Uint8Array }
  | { readonly kind: 'progress'; readonly id: CallId; readonly progress: CallProgress }
  /** @param answer the result, or the error, encoded */
  | { readonly kind: 'end'; readonly id: CallId; readonly progress: CallProgress; readonly answer: Uint8Array };

export interface CallCommit {
  /** Rises with each commit of an activation, from 1; one that is not newer than the last was made before (R2). */
  readonly sequence: number;
  readonly changes: readonly CallChange[];
}

/** How calls end that nobody can run any more. */
export interface CallEnd {
  readonly progress: CallProgress;
  readonly answer: Uint8Array;
}

/**
 * Spawned calls of instances, in the place of their pins. What an activation writes is written only while the pin has its epoch;
 * `stale` is one that is over, for ever (R2).
 */
export interface CallStore {
  /** From now on this activation has what is open. @throws Unavailable, Internal */
  adopt(owner: StateOwner): Promise<readonly OpenCall[] | 'stale'>;
  /**
   * All of it or nothing. What was added before is not added again, and what has ended stays as it ended. @throws Unavailable, Internal
   */
  commit(owner: StateOwner, commit: CallCommit): Promise<'committed' | 'stale'>;
  /** Of one that has not ended. @throws Unavailable */
  arguments(id: CallId): Promise<Uint8Array | null>;
  /** With its answer once it has ended; null where it is not known, or no longer. @throws Unavailable */
  get(id: CallId): Promise<(CallRecord & { readonly answer: Uint8Array | null }) | null>;
  /** How many are open, and which activation has adopted them last. @throws Unavailable */
  pending(key: InstanceKey): Promise<{ readonly open: number; readonly adoptedBy: Epoch | null }>;
  /**
   * Ends what is open of an instance whose pin is closed, lost or gone; nothing where it is not. @throws Unavailable
   * @param ends of those that had not begun, and of those that had
   */
  abandon(key: InstanceKey, ends: { readonly unbegun: CallEnd; readonly begun: CallEnd }): Promise<void>;
  /** Those that are open, and the ones that ended last before them. @throws Unavailable */
  list(key: InstanceKey, limit: number): Promise<readonly CallRecord[]>;
}
