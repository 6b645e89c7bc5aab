import type { Mutation } from './mutation.js';

/** Guards of durable state. */
export const state: readonly Mutation[] = [
  {
    name: 'durable state is written at any epoch',
    keeps: 'S9, D1',
    changes: [
      {
        file: 'src/adapters/embedded/lmdb-state.ts',
        from: "return pinEpoch === String(epoch) && (state === 'active' || state === 'draining' || state === 'closing');",
        to: 'return Number(pinEpoch) >= epoch || state === undefined;',
      },
    ],
  },
  {
    name: 'an answer leaves before what its call has written is stored',
    keeps: 'D3',
    changes: [
      {
        file: 'src/runtime/container/hosted-instance.ts',
        from: 'return this.#storage === null ? null : this.#storage.settled();',
        to: 'return null;',
      },
    ],
  },
  {
    name: 'a commit that was given up counts when it arrives late',
    keeps: 'D4',
    changes: [
      {
        file: 'src/adapters/embedded/lmdb-state.ts',
        from: "        if (lastEpoch === epoch && (lastSequence ?? 0) >= sequence) return 'committed';\n",
        to: '        void (lastEpoch === sequence || lastSequence);\n',
      },
    ],
  },
  {
    name: 'a read does not wait for what was written before it',
    keeps: 'D2',
    changes: [
      {
        file: 'src/wire/instance-storage.ts',
        from: '    await this.settled();\n    const bytes',
        to: '    const bytes',
      },
    ],
  },
  {
    name: 'durable state stays when its instance is closed',
    keeps: 'D5',
    changes: [
      {
        file: 'src/adapters/embedded/lmdb-pins.ts',
        from: "  if (pin.state === 'closed') removeState(db, key);\n",
        to: '  if (pin.epoch < 0) removeState(db, key);\n',
      },
    ],
  },
];
