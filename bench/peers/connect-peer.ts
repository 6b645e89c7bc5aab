import { firstPayload } from '../load/first-calls.js';
import type { Destination } from '../load/jobs.js';
import type { Value } from '../load/payload.js';
import type { Target } from '../load/target.js';

/** What the module of a peer has for a load generator. */
interface PeerClient {
  call(name: string, value: Value): Promise<Value>;
  /** Where another way is better for the one call of a name that nobody has used. */
  firstCall?(name: string, value: Value): Promise<Value>;
  executed(name: string): Promise<number>;
  close(): Promise<void>;
}

/** Peers come by the address of their module: the packages that they import are installed for this benchmark alone. */
export async function connectPeer({ module, address }: Destination & { readonly kind: 'peer' }): Promise<Target> {
  const { connect } = (await import(module)) as { connect(address: string): Promise<PeerClient> };
  const client = await connect(address);
  return {
    call: (value) => client.call('warm', value),
    executed: () => client.executed('warm'),
    close: () => client.close(),
    firstCall: async (_className, name) => {
      await (client.firstCall?.(name, firstPayload) ?? client.call(name, firstPayload));
      // It stays: what idle instances keep in memory is measured.
      return async () => undefined;
    },
  };
}
