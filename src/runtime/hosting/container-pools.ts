import type { Clock } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import { gpusOffered } from '../../common/gpu-demand.js';
import type { ContainerStarter } from '../../common/ports/container.js';
import type { Sandboxes } from '../sandbox/sandboxes.js';
import type { Bundles, WorkerConfig } from '../worker-options.js';
import type { Container } from './container.js';
import type { ContainerEvents } from './container-events.js';
import { ContainerPool } from './container-pool.js';
import { Gpus } from './gpus.js';
import type { LoadedClass } from './loaded-class.js';

const warmMemoryMb = 1_024;
/** What a worker that ends waits for. */
const commitWithinMs = 60_000;
const namedAtMost = 10;

/** Where containers come from: processes for classes, sandboxes for sessions. */
export class ContainerPools {
  readonly classes: ContainerPool;
  /** Null: this host cannot isolate. */
  readonly sandboxes: ContainerPool | null;

  constructor(classes: ContainerPool, sandboxes: ContainerPool | null) {
    this.classes = classes;
    this.sandboxes = sandboxes;
  }

  /** @throws SandboxUnavailable */
  of({ kind, label }: LoadedClass): ContainerPool {
    const pool = kind === 'sandbox' ? this.sandboxes : this.classes;
    if (pool !== null) return pool;
    throw new HoldfastError('SandboxUnavailable', `${label}: this worker cannot isolate sandboxes`);
  }

  /** By class label: how many more instances containers can take that have the class. @param freeMemoryMb of the host */
  openPlaces(freeMemoryMb: number): Record<string, number> {
    return { ...this.classes.openPlaces(freeMemoryMb), ...this.sandboxes?.openPlaces(freeMemoryMb) };
  }

  /**
   * Kills every container and waits until they are gone, then for the commits of what they wrote into volumes: those can take half an
   * hour, and whoever ends a worker does not wait for so long. @throws VolumeUnavailable naming what is not committed yet
   */
  async close(clock: Clock): Promise<void> {
    const ended = await Promise.all([this.classes.close(), this.sandboxes?.close() ?? []]);
    const unsettled = new Set(ended.flat());
    // Of each that could not be the log tells.
    const settling = [...unsettled].map((container) => container.killed().then(() => unsettled.delete(container)));
    const enough = new AbortController();
    const late = clock.sleep(commitWithinMs, enough.signal).catch(() => undefined); // aborted: they were settled first
    await Promise.race([Promise.all(settling), late]);
    enough.abort();
    if (unsettled.size === 0) return;
    const names = [...unsettled].map(({ id }) => id);
    throw new HoldfastError(
      'VolumeUnavailable',
      `the worker ends, and what ${names.length === 1 ? 'container' : 'containers'} ${names.slice(0, namedAtMost).join(', ')} wrote into volumes was not committed within ${commitWithinMs} ms: its uploads are given up, the commits before it stand`,
      { outcome: 'unknown', details: { containers: names.length, withinMs: commitWithinMs } },
    );
  }
}

/** The pools of one boot. @param sandboxes null: this host cannot isolate */
export function makePools(parts: {
  readonly config: WorkerConfig;
  readonly clock: Clock;
  readonly bundles: Bundles;
  readonly starter: ContainerStarter;
  readonly sandboxes: Sandboxes | null;
  readonly eventsOf: (container: Container) => ContainerEvents;
}): ContainerPools {
  const { config, clock, bundles, starter, sandboxes, eventsOf } = parts;
  const shared = { clock, env: config.containerEnv, eventsOf };
  const classes = new ContainerPool({
    ...shared,
    gpus: new Gpus(gpusOffered(config.offer)),
    starter,
    bundlePath: (klass) => bundles.path(klass.bundleSha256),
    // A heap never grows beyond what its process was started with.
    limits: {
      maxContainers: config.maxContainers,
      warm: config.warmContainers,
      warmMemoryMb,
      canGrow: false,
    },
  });
  if (sandboxes === null) return new ContainerPools(classes, null);
  const sessions = new ContainerPool({
    ...shared,
    // Behind their walls there is no device.
    gpus: new Gpus(0),
    starter: sandboxes,
    bundlePath: async () => '',
    limits: {
      maxContainers: config.maxSandboxes,
      warm: config.warmSandboxes,
      warmMemoryMb,
      canGrow: true,
    },
  });
  return new ContainerPools(classes, sessions);
}
