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
        from: "        if (last?.epoch === epoch && last.sequence >= sequence) return 'committed';\n",
        to: '',
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
  {
    name: 'an alarm is set that nobody expects',
    keeps: 'A1',
    changes: [
      {
        file: 'src/runtime/instances/durable-state.ts',
        from: 'this.#deps.store.alarms.expect(identity.account, key, alarm)',
        to: 'alarm > 0 ? Promise.resolve() : this.#deps.store.alarms.expect(identity.account, key, alarm)',
      },
    ],
  },
  {
    name: 'an alarm whose commit comes after somebody has looked is not expected again',
    keeps: 'A1',
    changes: [
      {
        file: 'src/runtime/instances/durable-state.ts',
        from: 'if (alarm !== null && alarm < this.#deps.clock.now() + soonMs)',
        to: 'if (alarm !== null && alarm + soonMs < 0)',
      },
    ],
  },
  {
    name: 'an alarm is over when its method begins',
    keeps: 'A2',
    changes: [
      {
        file: 'src/runtime/instances/alarms.ts',
        from: '    const end = await ringIn(instance, alarm);\n',
        to: '    await alarms.ended({ key: instance.key, epoch: instance.epoch }, id, null);\n    const end = await ringIn(instance, alarm);\n',
      },
    ],
  },
];
