import type { Clock, Monotonic } from '../../common/clock.js';
import type { BootId } from '../../common/ids.js';
import type { LeaseStore } from '../../common/ports/store.js';

const lookEveryMs = 500;

/**
 * Resolves when a container whose lender was lost runs no more: the lender's watchdog has seen it gone and said so, or the time is over
 * after which the lender kills it without a word of its borrower (P7). Never later than `until`.
 */
export async function lenderEnd(
  lender: { readonly bootId: BootId; readonly until: Monotonic },
  deps: { readonly clock: Clock; readonly leases: LeaseStore; readonly over: AbortSignal },
): Promise<void> {
  const { clock, leases, over } = deps;
  while (!over.aborted) {
    const leftMs = lender.until - clock.monotonic();
    if (leftMs <= 0) return;
    const lease = await leases.read(lender.bootId).catch(() => null); // a store that is away says nothing: time does
    if (lease?.phase === 'released') return;
    await clock.sleep(Math.min(lookEveryMs, leftMs), over).catch(() => undefined); // over: nobody waits any more
  }
}
