import type { Clock, Monotonic } from '../../common/clock.js';
import { Borrowing, type BorrowingDeps } from './borrowing.js';
import { Lending, type LendingDeps } from './lending.js';

/** Containers that this boot lends to pools of others, and those that others lend to its own. */
export class Loans {
  readonly borrowing: Borrowing;
  readonly lending: Lending;

  constructor(
    deps: Omit<BorrowingDeps, 'remainingMs'> &
      LendingDeps & {
        readonly clock: Clock;
        /** False: this boot is over (S7). */
        readonly mayRun: () => boolean;
        /** Of its lease. */
        readonly deadline: () => Monotonic;
      },
  ) {
    const { clock, mayRun, deadline } = deps;
    const remainingMs = () => (mayRun() ? Math.max(0, deadline() - clock.monotonic()) : null);
    this.borrowing = new Borrowing({ ...deps, remainingMs });
    this.lending = new Lending(deps);
  }

  /** Whatever they run ends with this boot. */
  close(): void {
    this.borrowing.close();
    this.lending.close();
  }
}
