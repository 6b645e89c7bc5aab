import { HoldfastError } from '../../common/errors.js';
import { defaultLeaseTimes } from '../../common/lease.js';
import type { PinState } from '../../common/pin.js';

/** Every lease that a server may have forgotten is over by then (S10), ms: those of the default times. */
export const defaultQuarantineMs = defaultLeaseTimes.ttlMs + defaultLeaseTimes.graceMs;

/** The error of what has to wait until nobody can have what the store has forgotten (S10). @param leftMs until then */
export function storeQuarantined(what: string, leftMs: number): HoldfastError {
  return new HoldfastError(
    'StoreQuarantined',
    `${what}: a server of the store was replaced and may have forgotten its last changes; nothing moves for ${Math.ceil(leftMs)} ms`,
    { outcome: 'not-run', details: { leftMs: Math.ceil(leftMs) } },
  );
}

const order: readonly PinState[] = ['placing', 'active', 'draining'];

/**
 * What an attested pin is beside the one that stands, of which one with the same epoch may be earlier in its life.
 * @returns `newer`: it is to be written
 */
export function compareAttested(
  attested: { readonly epoch: number; readonly state: PinState },
  stands: { readonly epoch: number; readonly state: PinState } | null,
): 'newer' | 'stands' | 'ended' | 'superseded' {
  if (stands === null || stands.epoch < attested.epoch) return 'newer';
  if (stands.epoch > attested.epoch) return 'superseded';
  const [before, now] = [rankOf(stands.state), rankOf(attested.state)];
  if (before < 0) return 'ended';
  return before < now ? 'newer' : 'stands';
}

/** -1: its worker has it no more. */
function rankOf(state: PinState): number {
  return order.indexOf(state === 'closing' ? 'draining' : state);
}
