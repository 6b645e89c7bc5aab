import type { Clock } from '../common/clock.js';
import { HoldfastError, isHoldfastError } from '../common/errors.js';
import { describeIdentity, type InstanceKey, instanceKey } from '../common/ids.js';
import type { Isolation } from '../common/manifest.js';
import type { Pin } from '../common/pin.js';
import type { TimerWheel } from '../common/timer-wheel.js';
import type { ContainerPool } from './container-pool.js';
import { Instance } from './instance.js';
import type { Leaving } from './leaving.js';
import type { ClassLoader, LoadedClass } from './loaded-class.js';
import type { PinKeeper } from './pin-keeper.js';
import type { WorkerCall } from './worker-call.js';

export interface ActivatorDeps {
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly classes: ClassLoader;
  readonly pool: ContainerPool;
  readonly pins: PinKeeper;
  readonly instances: Map<InstanceKey, Instance>;
  readonly leaving: Leaving;
  readonly isolation: Isolation;
  /** False: fenced or draining. */
  readonly mayPlace: () => boolean;
}

const strength: Readonly<Record<Isolation, number>> = { process: 0, bubblewrap: 1, gvisor: 2 };

/**
 * Brings placed instances to life (S5).
 *
 * I1. `placing -> active` is compare-and-set before `enter` and before the first admission.
 * I2. The same place request again joins or repeats the first one's answer; a refusal means nothing was started.
 */
export class Activator {
  readonly #deps: ActivatorDeps;
  readonly #placing = new Map<InstanceKey, Promise<void>>();

  constructor(deps: ActivatorDeps) {
    this.#deps = deps;
  }

  /** Resolves when the pin is active here at its epoch. @throws why it is refused for good */
  async place(pin: Pin): Promise<void> {
    const key = instanceKey(pin.identity);
    const underway = this.#placing.get(key);
    if (underway !== undefined) await underway.catch(() => undefined); // an older request's refusal is its own
    const here = this.#deps.instances.get(key);
    if (here?.pin.epoch === pin.epoch) return;
    if (here !== undefined) throw refused(pin, `epoch ${here.pin.epoch} of it is still here`);
    const placing = this.#activate(key, pin);
    this.#placing.set(key, placing);
    await placing.finally(() => {
      if (this.#placing.get(key) === placing) this.#placing.delete(key);
    });
  }

  async #activate(key: InstanceKey, pin: Pin): Promise<void> {
    const { classes, pins, instances, pool, clock, wheel } = this.#deps;
    const startedAt = clock.monotonic();
    const klass = await classes.load(pin.identity, pin.deployment);
    this.#checkCanHost(pin, klass);
    const change = await pins.change(key, pin, { state: 'active', why: 'activated' });
    const isOurs = change.pin?.state === 'active' && change.pin.epoch === pin.epoch && change.pin.bootId === pin.bootId;
    if (change.pin === null || !isOurs) throw refused(pin, `its pin is ${change.pin?.state ?? 'gone'} now`);
    const instance = new Instance(
      key,
      { pin: change.pin, klass },
      { clock, wheel, onContainerDied: (dead, waiting) => void this.#afterDeath(dead, waiting) },
    );
    instance.phasesMs['pin'] = clock.monotonic() - startedAt;
    instances.set(key, instance);
    void this.#bringUp(instance, pool);
  }

  #checkCanHost(pin: Pin, klass: LoadedClass): void {
    if (!this.#deps.mayPlace()) throw refused(pin, 'the worker is draining or fenced');
    const asked = klass.options.isolation ?? 'process';
    if (strength[asked] > strength[this.#deps.isolation]) {
      throw new HoldfastError(
        'SandboxUnavailable',
        `${describeIdentity(pin.identity)} asks for isolation '${asked}', this worker gives '${this.#deps.isolation}'; start a worker that gives more, or ask for less`,
        { details: { asked, given: this.#deps.isolation } },
      );
    }
    if (!this.#deps.pool.hasRoomFor(klass)) throw refused(pin, 'the worker runs its limit of containers');
  }

  /** From a container to the end of `enter`. What fails here is told to those who wait; the pin goes back to `idle` first. */
  async #bringUp(instance: Instance, pool: ContainerPool): Promise<void> {
    try {
      await this.#enter(instance, pool);
      instance.activated();
      this.#watchIdle(instance);
    } catch (cause) {
      this.#deps.leaving.detach(instance);
      await this.#setIdle(instance, 'activation failed');
      this.#deps.instances.delete(instance.key);
      instance.activationFailed(activationError(instance, cause));
    }
  }

  async #enter(instance: Instance, pool: ContainerPool): Promise<void> {
    const { clock } = this.#deps;
    const startedAt = clock.monotonic();
    const { container, ready } = await pool.take(instance.klass);
    instance.container = container;
    await ready;
    const loadedAt = clock.monotonic();
    instance.phasesMs['container'] = loadedAt - startedAt;
    const { manifest, methods, options } = instance.klass;
    const { pin } = instance;
    const activation = container.activate(instance, {
      id: pin.identity.id,
      className: manifest.name,
      exportName: manifest.exportName,
      epoch: pin.epoch,
      generation: pin.generation,
      restarted: pin.restarted,
      args: await this.#deps.leaving.argumentsOf(pin),
      enterHooks: manifest.enterHooks,
      exitHooks: manifest.exitHooks,
      methods: [...methods.keys()],
    });
    instance.slot = activation.slot;
    await this.#bounded(activation.ready, instance, options.startupTimeoutMs);
    instance.phasesMs['enter'] = clock.monotonic() - loadedAt;
  }

  /** @throws ActivationFailed after `startupTimeoutMs`, whatever the container does */
  #bounded(ready: Promise<void>, instance: Instance, startupTimeoutMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const timeout = this.#deps.wheel.add(startupTimeoutMs, () => {
        const { app, className } = instance.identity;
        reject(
          new HoldfastError(
            'ActivationFailed',
            `${app}/${className}: constructor and enter hooks took longer than startupTimeoutMs of ${startupTimeoutMs}`,
            { outcome: 'ran', details: { startupTimeoutMs } },
          ),
        );
        if (instance.klass.options.tasksPerContainer === 1) instance.container?.kill();
      });
      ready.then(resolve, reject).finally(() => this.#deps.wheel.remove(timeout));
    });
  }

  /** The death of a container is a loss of its instances (S3): the pin says so before those who waited look for it. */
  async #afterDeath(instance: Instance, waiting: readonly WorkerCall[]): Promise<void> {
    const { pin } = instance;
    const isRecreated = pin.onLoss === 'recreate';
    const set = { restarted: isRecreated, restarts: pin.restarts + (isRecreated ? 1 : 0) };
    const state = isRecreated ? 'idle' : 'lost';
    await this.#deps.pins.change(instance.key, pin, { state, why: 'container died', set }).catch(() => undefined); // over: fenced
    this.#deps.instances.delete(instance.key);
    instance.refuse(waiting);
    instance.gone();
  }

  async #setIdle(instance: Instance, why: string): Promise<void> {
    await this.#deps.pins.change(instance.key, instance.pin, { state: 'idle', why }).catch(() => undefined); // over: fenced
  }

  #watchIdle(instance: Instance): void {
    const { idleTimeoutMs } = instance.klass.options;
    if (idleTimeoutMs === null) return;
    const look = (): void => {
      if (instance.phase !== 'active') return;
      const quietMs = this.#deps.clock.monotonic() - instance.lastCallEndedAt;
      const isIdle = instance.running === 0 && quietMs >= idleTimeoutMs;
      if (isIdle) return void this.#deps.leaving.release(instance, 'idle');
      this.#deps.wheel.add(instance.running === 0 ? idleTimeoutMs - quietMs : idleTimeoutMs, look);
    };
    this.#deps.wheel.add(idleTimeoutMs, look);
  }
}

function refused(pin: Pin, why: string): HoldfastError {
  return new HoldfastError('NoCapacity', `${describeIdentity(pin.identity)} cannot be placed here: ${why}`);
}

function activationError(instance: Instance, cause: unknown): HoldfastError {
  if (isHoldfastError(cause)) return cause;
  const { app, className } = instance.identity;
  return new HoldfastError('ActivationFailed', `${app}/${className} could not be activated: ${String(cause)}`, {
    cause,
  });
}
