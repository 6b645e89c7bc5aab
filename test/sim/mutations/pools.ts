import type { Mutation } from './mutation.js';

/** Guards of pools. */
export const pools: readonly Mutation[] = [
  {
    name: 'a container of a pool is given more calls than it takes',
    keeps: 'P2',
    only: 'pool',
    changes: [
      {
        file: 'src/runtime/pool/pool.ts',
        from: 'const isFull = !call.concurrent && member.running >= this.#options.concurrentRequests;',
        to: 'const isFull = !call.concurrent && member.running > this.#options.concurrentRequests;',
      },
    ],
  },
  {
    name: 'containers of a pool outlive its activation',
    keeps: 'P1, C10',
    only: 'pool',
    changes: [
      {
        file: 'src/runtime/pool/pool.ts',
        from: '    await Promise.all([...this.#starting.keys(), ...this.#retiring.values()]);\n',
        to: '',
      },
    ],
  },
  {
    name: 'a spawned call of a container that died waits for another activation of its pool',
    keeps: 'P4, R4',
    only: 'pool',
    changes: [
      {
        file: 'src/runtime/spawned/spawned-call.ts',
        from: 'if (instance.pool === null || instance.refusing !== null) return this.#away({ losses });',
        to: 'if (instance.refusing !== undefined) return this.#away({ losses });',
      },
    ],
  },
  {
    name: 'containers of a pool number their commits each by itself',
    keeps: 'P4, D4',
    only: 'pool',
    changes: [
      {
        file: 'src/runtime/instances/durable-state.ts',
        from: "if (instance.pool === null || request.op !== 'commit') return",
        to: 'if (instance.epoch > 0) return',
      },
    ],
  },
  {
    name: 'a pool has slots for one container',
    keeps: 'P2',
    only: 'pool',
    changes: [
      {
        file: 'src/runtime/calls/instance-calls.ts',
        from: 'mailboxLimits(instance.klass, instance.pool !== null)',
        to: 'mailboxLimits(instance.klass, false)',
      },
    ],
  },
];
