import type { LeaseTimes } from '../../../src/common/lease.js';
import type { Store } from '../../../src/common/ports/store.js';
import type { SimHost, SimProcess } from '../engine/sim-process.js';
import type { Timeline } from '../engine/timeline.js';
import type { History } from '../history/history.js';
import type { Listener } from '../net/dial.js';
import type { Network } from '../net/network.js';
import type { BusServer } from '../net/sim-bus.js';
import type { ObjectServer } from '../store/sim-objects.js';

export const account = 'default';

/** What every process of the simulated cluster stands in. */
export interface ClusterContext {
  readonly timeline: Timeline;
  readonly network: Network;
  readonly bus: BusServer;
  readonly objects: ObjectServer;
  readonly history: History;
  readonly leaseTimes: LeaseTimes;
  readonly token: string;
  storeOf(process: SimProcess): Store;
  /** Addresses of all routers, in the order of their numbers. */
  readonly routerAddresses: readonly string[];
  router(address: string): RouterListener | null;
  worker(address: string): Listener | null;
  /** The machine of an address `host:port`. */
  hostOf(address: string): SimHost;
}

export interface RouterListener extends Listener {
  unary(method: string, request: Uint8Array): Promise<Uint8Array>;
}
