import type { Clock } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import type { Pin } from '../../common/pin.js';
import type { TimerWheel } from '../../common/timer-wheel.js';
import { mountSecrets } from '../../common/volume-mounts.js';
import type { Container } from '../hosting/container.js';
import type { Room } from '../hosting/container-place.js';
import type { ContainerPools } from '../hosting/container-pools.js';
import type { LoadedClass } from '../hosting/loaded-class.js';
import { filesOfClass, ownContainerOf } from '../hosting/own-container.js';
import type { Instance } from '../instances/instance.js';
import type { Leaving } from '../instances/leaving.js';
import type { Borrowing } from '../loans/borrowing.js';
import { withKeys } from '../mounts/bucket/bucket-keys.js';
import type { RecentFiles } from '../recent-files.js';
import { ownerOf, type Secrets } from '../secret-source.js';
import type { WorkerDeps } from '../worker-options.js';
import { Pool, type PoolDeps } from './pool.js';
import type { PoolPlace, Seat } from './pool-place.js';

export interface PoolEntryDeps {
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly pools: ContainerPools;
  readonly leaving: Leaving;
  readonly secrets: Secrets;
  readonly borrowing: Borrowing;
  readonly recentFiles: RecentFiles;
  readonly hostResources: WorkerDeps['hostResources'];
  /** False: fenced or draining. */
  readonly mayPlace: () => boolean;
}

/** What it needs besides the container that it is activated in. Only what is named by its arguments is pooled: what `named` and `new` make has one container. */
export function enterPool(instance: Instance, pin: Pin, deps: PoolEntryDeps): void {
  const { klass } = instance;
  const { maxContainers = 1, minContainers = 0 } = klass.options;
  if (klass.kind !== 'class' || pin.identity.id !== `bind-${pin.argsHash}`) return;
  if (maxContainers > 1) instance.pool = new Pool(instance, new PoolEntry(deps));
  if (instance.pool !== null) instance.idleTimeoutMs = instance.pool.sleepAfterMs;
  else if (minContainers > 0) instance.idleTimeoutMs = null;
}

/** The container of its activation is the first of its pool. */
export function joinPool(instance: Instance): void {
  const { pool, container } = instance;
  if (pool === null || container === null) return;
  const { slot, phasesMs } = instance;
  instance.container = null;
  pool.add({ container, slot, workerId: null, phasesMs });
}

/** How the containers of pools after their first ones come and go. */
class PoolEntry implements PoolDeps {
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly #deps: PoolEntryDeps;

  constructor(deps: PoolEntryDeps) {
    this.clock = deps.clock;
    this.wheel = deps.wheel;
    this.#deps = deps;
  }

  reserve(instance: Instance): Room | null {
    const { pools, secrets, mayPlace, borrowing } = this.#deps;
    if (!mayPlace()) return null;
    const { klass, pin } = instance;
    const here = () => pools.of(klass).reserve(klass, secrets.of(ownerOf(pin), klass));
    return (this.#isSpacious(klass) ? here() : null) ?? borrowing.room(instance, here);
  }

  async enter(instance: Instance, room: Room, started: (container: Container) => void): Promise<PoolPlace> {
    const { id, epoch, pin } = instance;
    const { clock, secrets, leaving, recentFiles } = this.#deps;
    const startedAt = clock.monotonic();
    const args = await leaving.argumentsOf(pin);
    const ofMounts = secrets.ofMounts(ownerOf(pin), mountSecrets(instance.klass.options.volumes ?? []));
    const own = withKeys(ownContainerOf(instance), await ofMounts());
    const { container, ready, workerId } = await room.take(own);
    started(container);
    // No slot has that number: it was not activated.
    let slot = 0;
    try {
      await ready;
      if (workerId === null) recentFiles.used(own ?? filesOfClass(instance.klass));
      const loadedAt = clock.monotonic();
      const activation = container.activate(instance, { id, epoch, restarted: pin.restarted, args });
      slot = activation.slot;
      await this.#bounded(activation.ready, instance);
      const phasesMs = { container: loadedAt - startedAt, enter: clock.monotonic() - loadedAt };
      return { container, slot, workerId, phasesMs };
    } catch (e) {
      await leaving.giveUpPlace(instance, { container, slot });
      throw e;
    }
  }

  retire(instance: Instance, place: Seat): Promise<void> {
    return this.#deps.leaving.retire(instance, place);
  }

  /** What its containers may use fits onto this host; else others are asked first, where these are limits and no reservations (ADR 5). */
  #isSpacious(klass: LoadedClass): boolean {
    const { cpuCores, freeMemoryMb } = this.#deps.hostResources();
    return this.#deps.pools.of(klass).cpuWith(klass) <= cpuCores && klass.options.memoryMb <= freeMemoryMb;
  }

  /** @throws ActivationFailed after `startupTimeoutMs`, whatever the container does */
  #bounded(ready: Promise<void>, { klass }: Instance): Promise<void> {
    const { startupTimeoutMs } = klass.options;
    return new Promise((resolve, reject) => {
      const timeout = this.wheel.add(startupTimeoutMs, () => {
        const message = `${klass.label}: constructor and enter hooks took longer than startupTimeoutMs of ${startupTimeoutMs}`;
        reject(new HoldfastError('ActivationFailed', message, { details: { startupTimeoutMs } }));
      });
      ready.then(resolve, reject).finally(() => this.wheel.remove(timeout));
    });
  }
}
