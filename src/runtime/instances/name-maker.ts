import type { Clock } from '../../common/clock.js';
import { type BootId, type Identity, instanceKey, type WorkerId } from '../../common/ids.js';
import { checkedIdentity } from '../../common/names.js';
import type { Pin, PinChange } from '../../common/pin.js';
import { type ConstructorArguments, constructorArguments } from '../../wire/constructor-arguments.js';
import type { MadeBody, MakeBody } from '../../wire/frames/frames.js';
import type { Grant } from '../../wire/grant.js';
import type { Capabilities } from '../calls/capabilities.js';
import type { ContainerPools } from '../hosting/container-pools.js';
import type { ClassLoader, LoadedClass } from '../hosting/loaded-class.js';
import type { WorkerDeps } from '../worker-options.js';
import type { Activator } from './activator.js';
import type { PinKeeper } from './pin-keeper.js';
import { refused } from './placement-refusals.js';

export interface NameMakerDeps {
  readonly bootId: BootId;
  readonly workerId: WorkerId;
  /** `host:port` of this worker. */
  readonly address: string;
  readonly clock: Clock;
  readonly capabilities: Pick<Capabilities, 'checkGrant' | 'signHandleOf'>;
  readonly classes: ClassLoader;
  readonly pools: ContainerPools;
  readonly pins: PinKeeper;
  readonly hostResources: WorkerDeps['hostResources'];
  readonly activator: Pick<Activator, 'make'>;
}

/** Makes names that were never used, for clients that a router has granted that to (S13). */
export class NameMaker {
  readonly #deps: NameMakerDeps;

  constructor(deps: NameMakerDeps) {
    this.#deps = deps;
  }

  /** @throws PermissionDenied */
  check(ask: MakeBody): Grant {
    return this.#deps.capabilities.checkGrant(ask.grant);
  }

  /**
   * Where nothing was there of that name. Whatever stands in the way is a router's to tell, which finds what is there now.
   *
   * @throws why it was not made here
   */
  async make(ask: MakeBody, grant: Grant): Promise<MadeBody> {
    const { capabilities, classes, activator, pins } = this.#deps;
    const { account, app, className, deployment } = grant;
    const identity = checkedIdentity({ account, app, className, id: ask.id });
    const key = instanceKey(identity);
    const given = constructorArguments(ask.args);
    const klass = await classes.load(identity, deployment);
    const why = this.#refusal(klass, grant);
    if (why !== null) throw refused(identity, why);
    const claim = async (): Promise<Pin> => {
      // A place is promised to it by now.
      if (!this.#hasRoom(klass)) throw refused(identity, 'no container that runs has room for it');
      const result = await pins.make(key, this.#recordOf(identity, klass, given));
      if (!result.applied) throw refused(identity, `its pin is ${result.pin?.state ?? 'gone'}`);
      return result.pin;
    };
    const pin = await activator.make({ key, identity, klass, epoch: null, claim });
    return { key, epoch: pin.epoch, signature: capabilities.signHandleOf(pin) };
  }

  /** Nothing must be needed that only a router can see to. */
  #refusal(klass: LoadedClass, { bootId }: Grant): string | null {
    const { secrets, volumes = [], maxContainers = 1 } = klass.options;
    if (bootId !== this.#deps.bootId) return `it was granted at boot ${bootId}, this is ${this.#deps.bootId}`;
    if (klass.kind !== 'class' || maxContainers > 1) return 'sessions and pools are placed by routers';
    if (secrets.length > 0 || volumes.length > 0) return 'what has secrets or volumes is placed by routers';
    return null;
  }

  /** As routers see it: those that are prepared count while the host has memory for one more. */
  #hasRoom(klass: LoadedClass): boolean {
    const pool = this.#deps.pools.of(klass);
    const fits = pool.hasOpenPlace(klass) || klass.options.memoryMb <= this.#deps.hostResources().freeMemoryMb;
    return fits && pool.hasPromised(klass);
  }

  #recordOf(
    identity: Identity,
    klass: LoadedClass,
    { args, argsHash }: ConstructorArguments,
  ): Pick<PinChange, 'fields' | 'transitions'> {
    const { workerId, bootId, address, clock } = this.#deps;
    const atMs = clock.now();
    // Each by its name: what a spread brings V8 adds one by one.
    return {
      fields: {
        identity,
        kind: klass.kind,
        state: 'active',
        workerId,
        bootId,
        address,
        deployment: klass.deployment,
        args,
        argsHash,
        tags: [],
        onLoss: klass.options.onLoss ?? 'recreate',
        createdAtMs: atMs,
        restarts: 0,
        restarted: false,
        isBrought: false,
        placement: null,
      },
      transitions: [{ atMs, from: 'none', to: 'active', why: 'made by its worker' }],
    };
  }
}
