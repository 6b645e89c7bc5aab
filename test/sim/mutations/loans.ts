import type { Mutation } from './mutation.js';

/** Guards of containers that are lent. */
export const loans: readonly Mutation[] = [
  {
    name: 'a lent container that is lost while its exit hooks are waited for counts as ended',
    keeps: 'P1, P7',
    only: 'pool',
    changes: [
      {
        file: 'src/runtime/hosting/container.ts',
        from: 'const instances = [...this.#instances.values()];\n    this.#waits.died(diedStarting(exit));',
        to: 'this.#waits.died(diedStarting(exit));\n    const instances = [...this.#instances.values()];',
      },
    ],
  },
  {
    name: 'a lender goes on after the end of the lease of its borrower',
    keeps: 'P7',
    only: 'pool',
    changes: [
      {
        file: 'src/runtime/loans/loan.ts',
        from: '    if (now >= this.#deadline) return this.#end(leaseIsOver());\n    this.#channel',
        to: '    this.#channel',
      },
      {
        file: 'src/runtime/loans/loan.ts',
        from: 'Math.min(askEveryMs, this.#deadline - now)',
        to: 'askEveryMs',
      },
    ],
  },
  {
    name: 'a lender passes calls on without a look at the lease of its borrower',
    keeps: 'S7, P7',
    only: 'pool',
    changes: [
      {
        file: 'src/runtime/loans/loan.ts',
        from: '        if (this.#clock.monotonic() >= this.#deadline) return this.#end(leaseIsOver());\n',
        to: '',
      },
    ],
  },
  {
    name: 'a container is lent for as long as it is not wanted back',
    keeps: 'P7',
    only: 'pool',
    changes: [
      {
        file: 'src/runtime/loans/loan.ts',
        from: 'Math.min(askedAt, this.#clock.monotonic()) + Math.min(remainingMs, longestLeaseMs);',
        to: 'Math.max(askedAt, this.#clock.monotonic()) + Math.max(remainingMs, longestLeaseMs);',
      },
    ],
  },
  {
    name: 'a lent container that was lost is replaced before it has ended',
    keeps: 'P2, P7',
    only: 'pool',
    changes: [
      {
        file: 'src/runtime/pool/pool.ts',
        from: 'Math.min(this.#max - this.lost.size, this.#wanted() + this.#recalled)',
        to: 'Math.min(this.#max, this.#wanted() + this.#recalled)',
      },
    ],
  },
  {
    name: 'a pool leaves before a lent container that was lost has ended',
    keeps: 'P1, P7, C10',
    only: 'pool',
    changes: [
      {
        file: 'src/runtime/pool/lost-containers.ts',
        from: '    while (this.#gone.size > 0) await Promise.all(this.#gone);\n',
        to: '',
      },
    ],
  },
  {
    name: 'a container that is to end is thought to have ended without a word of its lender',
    keeps: 'P1, P7',
    only: 'pool',
    changes: [
      {
        file: 'src/runtime/loans/borrowed-process.ts',
        from: '    this.#resolveGone(this.#toldUntil === null ? undefined : this.#deps.endedAfter(this.#toldUntil));\n',
        to: '    this.#resolveGone();\n',
      },
    ],
  },
];
