import type { Mutation } from './mutation.js';

/** Guards of spawned calls. */
export const spawned: readonly Mutation[] = [
  {
    name: 'a spawned call that may run again is lost with its container',
    keeps: 'R4',
    changes: [
      {
        file: 'src/runtime/spawned/spawned-call.ts',
        from: 'const mayComeBack = isIdempotent && this.#progress.losses < mostLosses;',
        to: 'const mayComeBack = isIdempotent && this.#progress.losses > mostLosses;',
      },
    ],
  },
  {
    name: 'a spawned call that may run again is lost with its worker',
    keeps: 'R4',
    changes: [
      {
        file: 'src/runtime/spawned/spawned-calls.ts',
        from: 'if (wasRunning && (!isIdempotent || losses > mostLosses)) {',
        to: 'if (wasRunning) {',
      },
    ],
  },
  {
    name: 'a spawned call that may not run twice does',
    keeps: 'R4',
    changes: [
      {
        file: 'src/runtime/spawned/spawned-calls.ts',
        from: 'if (wasRunning && (!isIdempotent || losses > mostLosses)) {',
        to: 'if (wasRunning && losses > mostLosses) {',
      },
    ],
  },
  {
    name: 'a spawned call that may not run twice begins before that is recorded',
    keeps: 'R4',
    changes: [
      {
        file: 'src/runtime/spawned/spawned-call.ts',
        from: '    if (this.#mayBegin) return true;\n',
        to: '    if (this.#mayBegin || this.record.order > 0) return true;\n',
      },
    ],
  },
  {
    name: 'a spawned call is acknowledged before it is recorded',
    keeps: 'R1',
    changes: [
      {
        file: 'src/runtime/spawned/spawned-calls.ts',
        from: "    if (await call.recorded()) return 'spawned';\n",
        to: "    void call.recorded();\n    if (id.length > 0) return 'spawned';\n",
      },
    ],
  },
  {
    name: 'spawned calls are recorded at any epoch',
    keeps: 'R2',
    changes: [
      {
        file: 'src/adapters/embedded/lmdb-calls.ts',
        from: "        if (!isCurrent(db, owner)) return 'stale';\n        const last =",
        to: '        const last =',
      },
    ],
  },
  {
    name: 'nobody looks for spawned calls that a worker has left',
    keeps: 'R4',
    changes: [
      {
        file: 'src/runtime/spawned/call-journal.ts',
        from: 'if (nowMs - this.#expectedAt < expectEveryMs) return true;',
        to: 'if (nowMs > this.#expectedAt) return true;',
      },
      {
        file: 'src/runtime/spawned/spawned-calls.ts',
        from: 'if (isAnyLeft) void store',
        to: 'if (isAnyLeft && identity.id.length < 0) void store',
      },
    ],
  },
];
