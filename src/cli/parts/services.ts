import type { Bus } from '../../common/ports/bus.js';
import type { ObjectStore } from '../../common/ports/object-store.js';
import type { Store } from '../../common/ports/store.js';
import type { StoreConfig } from '../open-store.js';

/** What routers and workers of one process share. Who made them closes them, after the parts. */
export interface Services {
  readonly store: Store;
  /** For the watchdog, which opens the store in its own process. */
  readonly storeConfig: StoreConfig;
  readonly bus: Bus;
  readonly objects: ObjectStore;
  /** Its folder or url, for the process of mounts, which opens it itself. */
  readonly objectsPlace: string;
  /** Names and addresses of the servers behind them: no sandbox may reach those. */
  readonly hosts: readonly string[];
}

/** Paths of PEM files, of a server. */
export interface TlsFiles {
  /** Clients must show a certificate of this authority. */
  readonly ca?: string;
  readonly cert: string;
  readonly key: string;
}
