import type { BootId } from '../../../src/common/ids.js';
import type { History } from './history.js';

/** What a kill may take beyond the end of a lease, as S8 allows it, and clocks that differ in rate. */
const afterLeaseMs = 1_600;

/**
 * P7: no code runs in a container that is lent after the end of its borrower's lease; where the lender's worker stands still, of its own.
 */
export function checkLoans(history: History, now: number): void {
  const leaseEnd = (bootId: BootId): number => history.leaseEnds.get(bootId) ?? 0;
  for (const { instance, epoch, process, loan, endedAt, wasUnguarded, hasStoodStill } of history.activations) {
    if (loan === null || wasUnguarded) continue;
    const { borrower, lender } = loan;
    const until = afterLeaseMs + Math.max(leaseEnd(borrower), hasStoodStill ? leaseEnd(lender) : 0);
    const lateMs = Math.round((endedAt ?? now) - until);
    if (lateMs > 0)
      history.break(
        'one-activation',
        `${instance} at ${epoch} runs in ${process.name}, lent by ${lender}, ${lateMs} ms after the lease of ${borrower}`,
      );
  }
}
