import type { Epoch, InstanceKey } from '../../common/ids.js';
import { Instance } from '../instances/instance.js';

/** What a client has bound to a slot: the instance itself where it is here, since there may be very many. */
export type Binding = Instance | Elsewhere;

/** Not here, not yet, or not for this client. */
export interface Elsewhere {
  readonly key: InstanceKey;
  readonly epoch: Epoch;
  /** The error, encoded: it may be one of very many, and an error holds its stack. */
  readonly refusal: Uint8Array | null;
}

export function isRefused(binding: Binding | undefined): boolean {
  return binding !== undefined && !(binding instanceof Instance) && binding.refusal !== null;
}

/** The slot still names what it named. */
export function isSame(now: Binding | undefined, before: Elsewhere): boolean {
  return now?.key === before.key && now.epoch === before.epoch;
}
