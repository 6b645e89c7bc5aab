import type { Clock, Monotonic, Random } from '../common/clock.js';
import type { Logger } from '../common/context.js';
import type { BootId, WorkerId } from '../common/ids.js';
import type { LeaseTimes } from '../common/lease.js';
import type { Isolation } from '../common/manifest.js';
import type { Bus } from '../common/ports/bus.js';
import type { Transport } from '../common/ports/channel.js';
import type { ContainerStarter } from '../common/ports/container.js';
import type { ObjectStore } from '../common/ports/object-store.js';
import type { SigningKey, Store } from '../common/ports/store.js';
import type { Watchdog } from '../common/ports/watchdog.js';
import type { WorkerMetrics } from './metrics.js';
import type { SandboxPlatform } from './sandbox/sandbox-factory.js';

/** Who a worker is and what it may use. */
export interface WorkerConfig {
  readonly workerId: WorkerId;
  readonly account: string;
  /** `host:port` under which clients reach the data path. */
  readonly address: string;
  readonly offer: Readonly<Record<string, unknown>>;
  readonly isolation: Isolation;
  readonly maxContainers: number;
  readonly warmContainers: number;
  /** Sandboxes that run a session at once. */
  readonly maxSandboxes: number;
  /** Kept started for new sessions, once there was a first one. */
  readonly warmSandboxes: number;
  /** Why there are none here; null: this host can isolate. */
  readonly sandboxLack: string | null;
  /** Variables that every class container gets. */
  readonly containerEnv: Readonly<Record<string, string>>;
  readonly leaseTimes: LeaseTimes;
}

/** The bundles of this host, as files that its containers can read. */
export interface Bundles {
  /** Path of the bundle's file. @throws NotFound, Unavailable */
  path(sha256: string): Promise<string>;
}

/** What a worker works with. */
export interface WorkerDeps {
  readonly store: Store;
  readonly bus: Bus;
  readonly objects: ObjectStore;
  readonly bundles: Bundles;
  readonly clock: Clock;
  readonly random: Random;
  readonly metrics: WorkerMetrics;
  /** For whoever runs this worker. */
  readonly log: Logger;
  /** Starts the watchdog of a boot; the container starter needs it. */
  readonly startWatchdog: (bootId: BootId, deadline: Monotonic) => Promise<Watchdog>;
  readonly starterOf: (bootId: BootId, watchdog: Watchdog) => ContainerStarter;
  /** How this host runs sandboxes; null: it cannot isolate. */
  readonly sandboxPlatform: (bootId: BootId, watchdog: Watchdog) => SandboxPlatform | null;
  /** How containers reach the cluster. @throws Unavailable while no router is known */
  readonly transport: (keys: readonly SigningKey[]) => Transport;
  /** Of the host, now; asked with every heartbeat. */
  readonly hostResources: () => { readonly cpuCores: number; readonly freeMemoryMb: number };
}
