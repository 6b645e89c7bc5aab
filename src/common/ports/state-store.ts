import type { Epoch, InstanceKey } from '../ids.js';
import type { Alarm } from './alarm-store.js';

/** An activation; what it asks is done only while the pin has its epoch and its code may run (D1). */
export interface StateOwner {
  readonly key: InstanceKey;
  readonly epoch: Epoch;
}

export interface StateEntry {
  readonly key: string;
  readonly value: Uint8Array;
}

/** Null: there shall be none. */
export interface StateChange {
  readonly key: string;
  readonly value: Uint8Array | null;
}

export interface StateCommit {
  /**
   * Rises with each commit of an activation. One that is not newer than the last was made before: it counts as made and changes
   * nothing, so that a request which was given up and arrives late does no harm (D4).
   */
  readonly sequence: number;
  /** Each key once. */
  readonly changes: readonly StateChange[];
  /** The alarm, ms since 1970; null: none; undefined: as it is. Whoever sets one has said before that it is expected. */
  readonly alarm?: number | null | undefined;
}

/** Bounds are UTF-8 of keys or of what lies between them. */
export interface StateRange {
  /** Null: from the first one. */
  readonly from: Uint8Array | null;
  /** Exclusive; null: to the last one. */
  readonly to: Uint8Array | null;
  /** 1 and up. */
  readonly limit: number;
  readonly reverse: boolean;
}

export interface StatePage {
  readonly entries: readonly StateEntry[];
  /** False: there may be more; a page has about 1 MiB at most. */
  readonly isEnd: boolean;
}

/** Durable state of instances, in the place of their pins: `stale` is an activation that is over, for ever. */
export interface StateStore {
  /** All of its changes or none, in one step with the look at the pin. @throws Unavailable, Internal */
  commit(owner: StateOwner, commit: StateCommit): Promise<'committed' | 'stale'>;
  /** @throws Unavailable, Internal */
  get(owner: StateOwner, key: string): Promise<{ readonly value: Uint8Array | null } | 'stale'>;
  /** @throws Unavailable, Internal */
  alarm(owner: StateOwner): Promise<{ readonly alarm: Alarm | null } | 'stale'>;
  /** @throws Unavailable, Internal */
  list(owner: StateOwner, range: StateRange): Promise<StatePage | 'stale'>;
}
