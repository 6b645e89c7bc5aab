import type { Mutation } from './mutation.js';

/** Guards of a store whose servers are replaced. */
export const failover: readonly Mutation[] = [
  {
    name: 'a server that took over is in no quarantine',
    keeps: 'S10',
    changes: [
      {
        file: 'src/adapters/embedded/lmdb-owner.ts',
        from: 'const left = id === undefined ? 0 : server.quarantineMs;',
        to: 'const left = 0;',
      },
    ],
  },
  {
    name: 'nobody tells a server that took over what runs',
    keeps: 'S10',
    changes: [
      {
        file: 'src/runtime/lease-keeper.ts',
        from: 'if (servers.some((server) => !this.#servers.has(server))) {',
        to: 'if (servers.length > 1e9) {',
      },
    ],
  },
];
