import type { Mutation } from './mutation.js';

/** Guards of a store whose servers are replaced. */
export const failover: readonly Mutation[] = [
  {
    name: 'a server that took over is in no quarantine',
    keeps: 'S10',
    only: 'failover',
    changes: [
      {
        file: 'src/adapters/embedded/lmdb-owner.ts',
        from: 'const left = id === undefined ? 0 : server.quarantineMs;',
        to: 'const left = 0;',
      },
    ],
  },
  {
    name: 'a quarantine begins when somebody looks for what was lost',
    keeps: 'S10',
    only: 'failover',
    changes: [
      {
        file: 'src/adapters/embedded/lmdb-leases.ts',
        from: "        const left = quarantineLeft(db, database);\n        if (state.phase === 'absent' && left > 0)",
        to: "        if (state.phase === 'absent' && quarantineLeft(db, database) > 0)",
      },
      {
        file: 'src/adapters/embedded/lmdb-leases.ts',
        from: '        quarantineLeft(db, database); // begins\n',
        to: '',
      },
    ],
  },
  {
    name: 'nobody tells a server that took over what runs',
    keeps: 'S10',
    only: 'failover',
    changes: [
      {
        file: 'src/runtime/lease-keeper.ts',
        from: 'if (servers.some((server) => !this.#servers.has(server))) {',
        to: 'if (servers.length > 1e9) {',
      },
    ],
  },
];
