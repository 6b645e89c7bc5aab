import type { WorkerId } from '../../common/ids.js';
import type { Container } from '../hosting/container.js';
import type { PoolMember } from './pool-member.js';

/** A container in which an instance is activated. */
export interface Seat {
  readonly container: Container;
  readonly slot: number;
}

/** The same of a pool. */
export interface PoolPlace extends Seat {
  /** Who lends it; null: it is here. */
  readonly workerId: WorkerId | null;
  readonly phasesMs: Readonly<Record<string, number>>;
}

/** What it has. */
export interface PoolState {
  readonly members: readonly PoolMember[];
  readonly starting: number;
  readonly leaving: number;
  /** They may still run, and count until that is over. */
  readonly lost: number;
  readonly max: number;
  /** Why there was no other container when one was wanted last; empty: there was one. */
  readonly lack: string;
}
