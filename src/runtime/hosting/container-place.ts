import type { WorkerId } from '../../common/ids.js';
import type { OwnContainer } from '../../common/ports/container.js';
import type { Container } from './container.js';

/** A place for one instance in a container that has its class. */
export interface Place {
  readonly container: Container;
  /** Resolves when the bundle is loaded. @throws ActivationFailed, also after `startupTimeoutMs` */
  readonly ready: Promise<void>;
  /** Who lends the container; null: it is here. */
  readonly workerId: WorkerId | null;
}

/** A place that is promised: nobody else can have it. Taken once, or given back. */
export interface Room {
  /** @param own what others of the class have not @throws Unavailable, SandboxUnavailable */
  take(own: OwnContainer | null): Promise<Place>;
  release(): void;
  /** Whoever takes it waits no more: `take` rejects soon. Without: it ends soon by itself. */
  cancel?(): void;
}
