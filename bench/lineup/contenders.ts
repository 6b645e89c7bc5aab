import { availableParallelism } from 'node:os';
import type { BareDestination, FloorName } from '../load/jobs.js';
import type { ContenderPlan } from '../processes/contender.js';
import { pathTarget } from '../report/ratio.js';

/** Raw servers, as many as there are containers to compare them with. */
export interface FloorSpec extends ContenderPlan {
  readonly kind: 'floor';
  readonly server: FloorName;
  readonly servers: number;
}

/** What its load generator has by itself: no servers, no cluster. */
export interface BareSpec extends ContenderPlan {
  readonly kind: 'bare';
  readonly destination: BareDestination;
}

/** A cluster of processes. Contenders of one lineup that name the same one share it. */
export interface ClusterShape {
  readonly name: string;
  /** One list entry a worker, as `startCluster` takes it: what a worker is told goes through here. */
  readonly workers: readonly { readonly maxContainers?: number }[];
}

/** Processes that send each other the messages of a cluster's path, with that cluster's NATS and Redis. */
export interface PathSpec extends ContenderPlan {
  readonly kind: 'path';
  readonly cluster: ClusterShape;
}

/** Instances of a class of app.ts on a cluster. */
export interface ProductSpec extends ContenderPlan {
  readonly kind: 'product';
  readonly className: string;
  readonly instances: number;
  readonly cluster: ClusterShape;
}

export type ContenderSpec = FloorSpec | BareSpec | PathSpec | ProductSpec;

/** The floor that everything is compared with where nothing else is said. */
const floor = 'tcp-container';

function floorSpec(server: FloorName, title: string, more: Pick<FloorSpec, 'payload' | 'inFlight'>): FloorSpec {
  return { kind: 'floor', name: server, title, floor, clients: 1, server, servers: 1, ...more };
}

export const tcpEcho = floorSpec('tcp-echo', 'TCP echo', { payload: 'bytes', inFlight: 4 });
export const tcpContainer = floorSpec(floor, 'TCP into a container', { payload: 'text', inFlight: 4 });
export const grpcUnary = floorSpec('grpc-unary', 'gRPC unary echo', { payload: 'bytes', inFlight: 1 });
export const grpcStream = floorSpec('grpc-stream', 'gRPC stream echo', { payload: 'bytes', inFlight: 4 });

/** The floor of what has many containers. */
export function tcpContainers(servers: number): FloorSpec {
  const name = `${floor}-${servers}`;
  return { ...tcpContainer, name, floor: name, title: `TCP into ${servers} containers`, servers };
}

/** The floor of sandboxes. */
export const bareSandbox: BareSpec = {
  ...{ kind: 'bare', name: 'bare', title: 'bubblewrap, nsenter, plain disk', floor: 'bare' },
  ...{ payload: 'bytes', inFlight: 1, clients: 1, destination: { kind: 'bare-sandbox' } },
};

/** Mounts of volumes, and their floor. @param folder for all that they leave */
export function volumeContenders(folder: string): readonly [plain: BareSpec, mounts: BareSpec] {
  const alone = { kind: 'bare', floor: 'plain', payload: 'bytes', inFlight: 1, clients: 1 } as const;
  return [
    { ...alone, name: 'plain', title: 'plain disk', destination: { kind: 'plain-disk', folder } },
    { ...alone, name: 'holdfast', title: 'Holdfast', destination: { kind: 'mounts', folder } },
  ];
}

export function clusterOf(workers: number, name = `${workers} workers`): ClusterShape {
  return { name, workers: Array.from({ length: workers }, () => ({})) };
}

/** The least that the product's own path could cost, in a cluster with one worker. */
export const pathFloor: PathSpec = {
  ...{ kind: 'path', name: pathTarget, title: 'the same messages, empty', floor, clients: 1 },
  ...{ payload: 'text', inFlight: 4, cluster: clusterOf(1) },
};

/** One instance of a class whose calls may overlap, in a cluster with one worker. */
export const holdfast: ProductSpec = {
  kind: 'product',
  name: 'holdfast',
  title: 'Holdfast',
  floor,
  payload: 'text',
  inFlight: 4,
  clients: 1,
  className: 'Echo',
  instances: 1,
  cluster: clusterOf(1),
};

export const holdfastSerial: ProductSpec = {
  ...holdfast,
  name: 'holdfast-serial',
  title: 'Holdfast, one at a time',
  className: 'Serial',
};

/** A function in one container, and in several. */
export const holdfastFunction: ProductSpec = {
  ...holdfast,
  name: 'holdfast-function',
  title: 'Holdfast, a function',
  className: 'echoed',
};
export const holdfastPool: ProductSpec = {
  ...holdfast,
  name: 'holdfast-pool',
  title: 'Holdfast, a function in 4 containers',
  className: 'pooled',
  // Calls in several containers overtake each other.
  inFlight: 1,
};

/** Where one load generator could not keep several workers busy; on small machines it would take what they need. */
export const enoughClients = Math.max(1, Math.min(4, Math.floor(availableParallelism() / 4)));
