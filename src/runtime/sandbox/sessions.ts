import type { HoldfastError } from '../../common/errors.js';
import type { Generation, InstanceKey } from '../../common/ids.js';
import type { Isolation } from '../../common/manifest.js';
import type { OwnContainer } from '../../common/ports/container.js';
import type { SessionView } from '../../common/sandbox-methods.js';
import { mountsTogether } from '../../common/volume-mounts.js';
import { filesOfClass } from '../hosting/own-container.js';
import type { Instance } from '../instances/instance.js';
import { readSessionArguments } from './session-arguments.js';
import { type LifetimeDeps, SessionLifetimes } from './session-lifetimes.js';

/** A worker that is asked about many sessions does not wait for one whose inside does not answer. */
const describeWithinMs = 500;

/** What a worker knows of its sessions beside what it knows of every instance. */
export class Sessions {
  readonly #deps: LifetimeDeps;
  readonly #lifetimes: SessionLifetimes;

  constructor(deps: LifetimeDeps) {
    this.#deps = deps;
    this.#lifetimes = new SessionLifetimes(deps);
  }

  get isolation(): Isolation {
    return this.#deps.sandboxes.isolation;
  }

  /** What it needs that others of its sandbox have not: files it has left here, a fork's image, volumes. @throws InvalidArgument */
  ownFor({ key, klass }: Instance, args: Uint8Array): OwnContainer | null {
    const { startupTimeoutMs, volumes: ofSandbox } = klass.options;
    const { fork, volumes: ofSession } = readSessionArguments(args);
    const volumes = mountsTogether(ofSandbox, ofSession);
    if (fork === undefined && volumes.length === 0 && !this.#deps.sandboxes.isAsleep(key)) return null;
    return {
      ...filesOfClass(klass),
      key,
      volumes,
      ...(fork === undefined ? {} : { image: { id: fork.image, withinMs: startupTimeoutMs } }),
    };
  }

  /** It has its sandbox: whose files those are, and how long it may live. @throws InvalidArgument */
  entering(instance: Instance, on: { readonly containerId: string; readonly args: Uint8Array }): void {
    const { key, pin } = instance;
    const { idleTimeoutMs, lifetimeMs } = readSessionArguments(on.args);
    instance.idleTimeoutMs = idleTimeoutMs ?? instance.idleTimeoutMs;
    this.#deps.sandboxes.assign(on.containerId, key, pin.generation);
    if (lifetimeMs !== undefined) this.#lifetimes.watch(pin, key, lifetimeMs);
  }

  /** It was closed while it slept. */
  forget(key: InstanceKey, generation: Generation): void {
    this.#deps.sandboxes.forget(key, generation);
  }

  /** Null: it does not answer. */
  async describe(instance: Instance): Promise<SessionView | null> {
    const { clock, sandboxes } = this.#deps;
    const { container } = instance;
    if (container === null) return null;
    const enough = new AbortController();
    const late = clock.sleep(describeWithinMs, enough.signal).catch(() => undefined); // answered first
    const view = sandboxes.describe(container.id).catch((_gone: HoldfastError) => null);
    const first = await Promise.race([view, late.then(() => null)]);
    enough.abort();
    return first;
  }
}
