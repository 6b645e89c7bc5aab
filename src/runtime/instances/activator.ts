import type { Logger } from '../../common/context.js';
import { HoldfastError } from '../../common/errors.js';
import { describeIdentity, type Epoch, type Identity, type InstanceKey, instanceKey } from '../../common/ids.js';
import type { Isolation } from '../../common/manifest.js';
import type { Pin } from '../../common/pin.js';
import type { OwnContainer } from '../../common/ports/container.js';
import type { TimerWheel } from '../../common/timer-wheel.js';
import { mountSecrets as secretsOfMounts } from '../../common/volume-mounts.js';
import { readReference } from '../../wire/codec/codec.js';
import { Arrival, type Arriving } from '../calls/arrival.js';
import { RecentCalls } from '../calls/recent-calls.js';
import type { Room } from '../hosting/container-place.js';
import { isolationGiven, isolationOf, strength } from '../hosting/isolation-needed.js';
import type { LoadedClass } from '../hosting/loaded-class.js';
import { filesOfClass, ownContainerOf } from '../hosting/own-container.js';
import type { Borrowing } from '../loans/borrowing.js';
import { withKeys } from '../mounts/bucket/bucket-keys.js';
import { enterPool, joinPool } from '../pool/pool-entry.js';
import type { RecentFiles } from '../recent-files.js';
import type { Sessions } from '../sandbox/sessions.js';
import type { MountSecretSource, SecretSource, Secrets } from '../secret-source.js';
import type { SpawnedDeps } from '../spawned/spawned-calls.js';
import { Instance, type InstanceDeps } from './instance.js';
import { activationError } from './instance-errors.js';
import type { Leaving } from './leaving.js';
import { NameMaker, type NameMakerDeps } from './name-maker.js';
import { notIsolated, refused } from './placement-refusals.js';

export interface ActivatorDeps extends Omit<NameMakerDeps, 'activator'> {
  readonly log: Logger;
  readonly wheel: TimerWheel;
  /** False: fenced (S7). */
  readonly mayRun: () => boolean;
  readonly instances: Map<InstanceKey, Instance>;
  readonly leaving: Leaving;
  readonly isolation: Isolation;
  readonly spawned: SpawnedDeps;
  readonly secrets: Secrets;
  readonly borrowing: Borrowing;
  /** Null: this host cannot isolate. */
  readonly sessions: Sessions | null;
  readonly recentFiles: RecentFiles;
  /** False: fenced or draining. */
  readonly mayPlace: () => boolean;
}

interface Placed {
  readonly identity: Identity;
  readonly klass: LoadedClass;
  readonly secrets: SecretSource;
}

/** What an instance is brought up with. */
interface Given {
  readonly pin: Pin;
  readonly mountSecrets: MountSecretSource;
  readonly room: Room;
}

/**
 * Brings placed instances to life (S5).
 *
 * I1. `placing -> active` is compare-and-set before `enter` and before the first admission.
 * I2. The same place request again, by a router or a client, joins or repeats the first one's answer; a refusal means
 *     nothing was started.
 * I3. Of one instance at most one placement is under way.
 */
export class Activator {
  readonly names: NameMaker;
  readonly #deps: ActivatorDeps;
  /** One for all instances: there may be very many of them. */
  readonly #instanceDeps: InstanceDeps;
  readonly #arriving = new Map<InstanceKey, Arrival>();

  constructor(deps: ActivatorDeps) {
    this.#deps = deps;
    this.names = new NameMaker({ ...deps, activator: this });
    const { clock, wheel, mayRun, leaving, spawned } = deps;
    const recentCalls = new RecentCalls({ clock, wheel });
    this.#instanceDeps = {
      ...{ clock, wheel, mayRun, recentCalls, spawned },
      onContainerDied: (dead, waiting) => leaving.died(dead, waiting),
    };
  }

  /** Resolves when the pin is active here at its epoch. @throws why it is refused for good */
  async place(pin: Pin): Promise<void> {
    const key = instanceKey(pin.identity);
    // Again after each: others may have waited for the same one, and the first of them goes on alone (I3).
    for (let before = this.#arriving.get(key); before !== undefined; before = this.#arriving.get(key)) {
      await before.decided.catch(() => undefined); // an older request's refusal is its own
    }
    const here = this.#deps.instances.get(key);
    if (here?.epoch === pin.epoch) return;
    if (here !== undefined) throw refused(pin.identity, `epoch ${here.epoch} of it is still here`);
    await this.#begin(this.#placed(key, pin)).decided;
  }

  /** Brings a name to life that a client wants made here, where nothing of it is here or on its way (S13). @throws why not */
  make(arriving: Arriving): Promise<Pin> {
    if (this.#isKnown(arriving.key)) throw refused(arriving.identity, 'it is here, or on its way');
    return this.#begin(arriving).decided;
  }

  /** A client has brought the pin of what it wants to call: from now on its calls wait for what becomes of it. */
  expect(key: InstanceKey, pin: Pin): void {
    if (this.#isKnown(key) || pin.bootId !== this.#deps.bootId) return;
    // Whoever waits for it finds out by himself, and a router asks once more, for the reason.
    this.#begin(this.#placed(key, pin)).decided.catch(() => undefined);
  }

  /** A placement that is under way at that epoch, or at one that it does not know yet. */
  arrival(key: InstanceKey, epoch: Epoch): Arrival | undefined {
    const arrival = this.#arriving.get(key);
    return arrival?.epoch === epoch || arrival?.epoch === null ? arrival : undefined;
  }

  /** Resolves when every placement that is under way now is an instance or was refused. */
  async decided(): Promise<void> {
    await Promise.allSettled([...this.#arriving.values()].map((arrival) => arrival.decided));
  }

  #isKnown(key: InstanceKey): boolean {
    return this.#arriving.has(key) || this.#deps.instances.has(key);
  }

  #placed(key: InstanceKey, pin: Pin): Arriving {
    const { identity, epoch } = pin;
    const klass = this.#deps.classes.load(identity, pin.deployment);
    return { key, identity, klass, epoch, claim: () => this.#makeActive(key, pin) };
  }

  #begin(arriving: Arriving): Arrival {
    const settled = (): void => {
      this.#arriving.delete(arriving.key);
      arrival.release();
    };
    const arrival = new Arrival(arriving.epoch, this.#activate(arriving).finally(settled));
    this.#arriving.set(arriving.key, arrival);
    return arrival;
  }

  async #activate({ key, identity, klass: loading, epoch, claim }: Arriving): Promise<Pin> {
    const { instances, clock, pools } = this.#deps;
    const startedAt = clock.monotonic();
    const klass = await loading;
    // Whoever has one asks for them at the epoch of its pin; a name that is made here has none.
    const owner = { key, epoch: epoch ?? 0 };
    const secrets = this.#deps.secrets.of(owner, klass);
    // Before the pin says that it is here: one that is missing is a refusal (I2). A container that runs has its own.
    if (!pools.of(klass).hasOpenPlace(klass)) await secrets();
    const mountSecrets = this.#deps.secrets.ofMounts(owner, secretsOfMounts(klass.options.volumes ?? []));
    await mountSecrets();
    const room = this.#roomFor({ identity, klass, secrets });
    const pin = await claim().catch((e: unknown) => {
      room.release();
      throw e;
    });
    const instance = new Instance(key, { pin, klass }, this.#instanceDeps);
    enterPool(instance, pin, this.#deps);
    instance.passed('pin', clock.monotonic() - startedAt);
    instances.set(key, instance);
    void this.#bringUp(instance, { pin, mountSecrets, room });
    return pin;
  }

  async #makeActive(key: InstanceKey, pin: Pin): Promise<Pin> {
    const { pin: now } = await this.#deps.pins.change(key, pin, { state: 'active', why: 'activated' });
    const isOurs = now?.state === 'active' && now.epoch === pin.epoch && now.bootId === pin.bootId;
    if (now === null || !isOurs) throw refused(pin.identity, `its pin is ${now?.state ?? 'gone'} now`);
    return now;
  }

  /** A place for it, before its pin says that it is here (I2). */
  #roomFor({ identity, klass, secrets }: Placed): Room {
    if (!this.#deps.mayPlace()) throw refused(identity, 'the worker is draining or fenced');
    const asked = isolationOf(klass);
    const { isolation, sessions, pools } = this.#deps;
    const given = isolationGiven(klass, { classes: isolation, sandboxes: sessions?.isolation ?? null });
    if (strength[asked] > strength[given]) throw notIsolated(identity, klass, { asked, given });
    const room = pools.of(klass).reserve(klass, secrets);
    if (room === null) throw refused(identity, 'the worker runs its limit of containers');
    return room;
  }

  /** From a container to the end of `enter`. What fails here is told to those who wait; the pin goes back to `idle` first. */
  async #bringUp(instance: Instance, given: Given): Promise<void> {
    const { leaving, pins, instances } = this.#deps;
    try {
      await this.#enter(instance, given);
      // It can have died in the moment in which `enter` ended; while it activates nobody is told of that.
      instance.container?.checkAlive();
      joinPool(instance);
      instance.activated();
      this.#watchIdle(instance);
    } catch (cause) {
      const error = activationError(instance.identity, cause);
      given.room.release();
      await leaving.giveUp(instance);
      await instance.recorded(error);
      // Over: its lease says it.
      await pins.change(instance.key, given.pin, { state: 'idle', why: 'activation failed' }).catch(() => undefined);
      instances.delete(instance.key);
      instance.activationFailed(error);
      this.#tellFailed(instance, error);
    }
    this.#deps.pools.of(instance.klass).fillSoon();
  }

  /** Not what the user's code said: that may be a secret. Those of a boot that is over failed with it. */
  #tellFailed(instance: Instance, { code }: HoldfastError): void {
    const { mayRun, log } = this.#deps;
    if (!mayRun()) return;
    log.warn('activation.failed', { instance: describeIdentity(instance.identity), epoch: instance.epoch, code });
  }

  async #enter(instance: Instance, { pin, mountSecrets, room }: Given): Promise<void> {
    const { clock } = this.#deps;
    const startedAt = clock.monotonic();
    const args = await this.#argumentsOf(pin, instance);
    const own = withKeys(this.#ownFor(instance, args), await mountSecrets());
    const { container, ready } = await room.take(own);
    instance.container = container;
    await ready;
    this.#deps.recentFiles.used(own ?? filesOfClass(instance.klass));
    const loadedAt = clock.monotonic();
    instance.passed('container', loadedAt - startedAt);
    if (instance.klass.kind === 'sandbox') this.#deps.sessions?.entering(instance, { containerId: container.id, args });
    const activation = container.activate(instance, {
      id: instance.id,
      epoch: pin.epoch,
      restarted: pin.restarted,
      args,
    });
    instance.slot = activation.slot;
    await this.#bounded(activation.ready, instance, 'constructor and enter hooks');
    instance.passed('enter', clock.monotonic() - loadedAt);
  }

  /** Nearly always with the pin: who fetches them waits for nobody else. */
  #argumentsOf(pin: Pin, instance: Instance): Uint8Array | Promise<Uint8Array> {
    if (readReference(pin.args) === null) return pin.args;
    return this.#bounded(this.#deps.leaving.argumentsOf(pin), instance, 'fetching the arguments');
  }

  /** What others of its class have not. */
  #ownFor(instance: Instance, args: Uint8Array): OwnContainer | null {
    if (instance.klass.kind === 'sandbox') return this.#deps.sessions?.ownFor(instance, args) ?? null;
    return ownContainerOf(instance);
  }

  /** @throws ActivationFailed after `startupTimeoutMs`, whatever the container does */
  #bounded<T>(step: Promise<T>, instance: Instance, what: string): Promise<T> {
    const { startupTimeoutMs } = instance.klass.options;
    return new Promise((resolve, reject) => {
      const timeout = this.#deps.wheel.add(startupTimeoutMs, () => {
        reject(
          new HoldfastError(
            'ActivationFailed',
            `${describeIdentity(instance.identity)} did not start: ${what} took longer than startupTimeoutMs of ${startupTimeoutMs}; raise it or do less there`,
            { details: { startupTimeoutMs } },
          ),
        );
      });
      step.then(resolve, reject).finally(() => this.#deps.wheel.remove(timeout));
    });
  }

  #watchIdle(instance: Instance): void {
    const { clock, wheel, leaving } = this.#deps;
    const { idleTimeoutMs } = instance;
    if (idleTimeoutMs === null) return;
    const look = (): void => {
      if (instance.phase !== 'active') return;
      const quietMs = clock.monotonic() - instance.lastCallEndedAt;
      if (instance.isIdle && quietMs >= idleTimeoutMs) {
        void leaving.release(instance, 'idle').catch(() => undefined); // over: its lease says it
        return;
      }
      instance.idleCheck = wheel.add(instance.isIdle ? idleTimeoutMs - quietMs : idleTimeoutMs, look);
    };
    instance.idleCheck = wheel.add(idleTimeoutMs, look);
  }
}
