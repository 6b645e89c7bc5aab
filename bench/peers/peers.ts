/** What a peer can be asked for, in a time that is worth waiting for. */
export interface Peer {
  readonly name: string;
  readonly title: string;
  /** URL of the module that starts it and calls it. */
  readonly module: string;
  readonly warmupCalls: number;
  /** In one repetition; null: it has no instances by name. */
  readonly coldNames: number | null;
  /** Before those that are counted, at most. */
  readonly warmupNames: number;
  /** Whether an idle instance stays in memory. */
  readonly isResident: boolean;
}

export const peers: readonly Peer[] = [
  {
    ...{ name: 'workerd', title: 'workerd Durable Object', module: here('workerd.mjs') },
    ...{ warmupCalls: 8_000, coldNames: 2_000, warmupNames: 25_000, isResident: true },
  },
  {
    ...{ name: 'moleculer', title: 'Moleculer over NATS', module: here('moleculer.mjs') },
    ...{ warmupCalls: 25_000, coldNames: null, warmupNames: 0, isResident: false },
  },
  {
    ...{ name: 'restate', title: 'Restate virtual object', module: here('restate.mjs') },
    ...{ warmupCalls: 2_000, coldNames: 500, warmupNames: 1_000, isResident: false },
  },
  {
    ...{ name: 'rivet', title: 'Rivet actor', module: here('rivet.mjs') },
    ...{ warmupCalls: 300, coldNames: 8, warmupNames: 16, isResident: true },
  },
];

function here(file: string): string {
  return new URL(file, import.meta.url).href;
}
