import type { Clock } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import type { Pin } from '../../common/pin.js';
import type { TimerWheel } from '../../common/timer-wheel.js';
import { mountSecrets } from '../../common/volume-mounts.js';
import type { Container } from '../container.js';
import type { Room } from '../container-place.js';
import type { ContainerPools } from '../container-pools.js';
import type { Instance } from '../instance.js';
import type { Leaving } from '../leaving.js';
import type { LoadedClass } from '../loaded-class.js';
import { withKeys } from '../mounts/bucket/bucket-keys.js';
import { ownContainerOf } from '../own-container.js';
import type { MountSecretSource, SecretSource } from '../secret-source.js';
import { Pool, type PoolDeps, type PoolPlace } from './pool.js';

export interface PoolEntryDeps {
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly pools: ContainerPools;
  readonly leaving: Leaving;
  readonly secretsOf: (pin: Pin, klass: LoadedClass) => SecretSource;
  readonly mountSecretsOf: (pin: Pin, names: readonly string[]) => MountSecretSource;
  /** False: fenced or draining. */
  readonly mayPlace: () => boolean;
}

/** What it needs besides the container that it is activated in. Only what is named by its arguments is pooled: what `named` and `new` make has one container. */
export function enterPool(instance: Instance, deps: PoolEntryDeps): void {
  const { klass, pin } = instance;
  const { maxContainers = 1, minContainers = 0 } = klass.options;
  if (klass.kind !== 'class' || pin.identity.id !== `bind-${pin.argsHash}`) return;
  if (maxContainers > 1) instance.pool = new Pool(instance, new PoolEntry(deps));
  if (instance.pool !== null) instance.idleTimeoutMs = instance.pool.sleepAfterMs;
  else if (minContainers > 0) instance.idleTimeoutMs = null;
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

  reserve({ klass, pin }: Instance): Room | null {
    const { pools, secretsOf, mayPlace } = this.#deps;
    return mayPlace() ? pools.of(klass).reserve(klass, secretsOf(pin, klass)) : null;
  }

  async enter(instance: Instance, room: Room, started: (container: Container) => void): Promise<PoolPlace> {
    const { id, epoch } = instance;
    const { pin } = instance;
    const args = await this.#deps.leaving.argumentsOf(pin);
    const secrets = this.#deps.mountSecretsOf(pin, mountSecrets(instance.klass.options.volumes ?? []));
    const { container, ready } = await room.take(withKeys(ownContainerOf(instance), await secrets()));
    started(container);
    // No slot has that number: it was not activated.
    let slot = 0;
    try {
      await ready;
      const activation = container.activate(instance, { id, epoch, restarted: pin.restarted, args });
      slot = activation.slot;
      await this.#bounded(activation.ready, instance);
      return { container, slot };
    } catch (e) {
      await this.#deps.leaving.giveUpPlace(instance, { container, slot });
      throw e;
    }
  }

  retire(instance: Instance, place: PoolPlace): Promise<void> {
    return this.#deps.leaving.retire(instance, place);
  }

  /** @throws ActivationFailed after `startupTimeoutMs`, whatever the container does */
  #bounded(ready: Promise<void>, { klass }: Instance): Promise<void> {
    const { startupTimeoutMs } = klass.options;
    return new Promise((resolve, reject) => {
      const timeout = this.wheel.add(startupTimeoutMs, () => {
        const message = `${klass.label}: constructor and enter hooks took longer than startupTimeoutMs of ${startupTimeoutMs}`;
        reject(new HoldfastError('ActivationFailed', message, { outcome: 'ran', details: { startupTimeoutMs } }));
      });
      ready.then(resolve, reject).finally(() => this.wheel.remove(timeout));
    });
  }
}
