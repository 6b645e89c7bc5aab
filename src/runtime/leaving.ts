import type { Clock } from '../common/clock.js';
import { HoldfastError } from '../common/errors.js';
import type { InstanceKey } from '../common/ids.js';
import type { Pin } from '../common/pin.js';
import type { ObjectStore } from '../common/ports/object-store.js';
import { readReference } from '../wire/codec.js';
import { CancelReason, type DeactivatedBody } from '../wire/frames.js';
import type { ContainerPool } from './container-pool.js';
import type { Instance } from './instance.js';
import type { PinKeeper } from './pin-keeper.js';

export interface LeavingDeps {
  readonly clock: Clock;
  readonly pool: ContainerPool;
  readonly pins: PinKeeper;
  readonly objects: ObjectStore;
  readonly instances: Map<InstanceKey, Instance>;
}

/**
 * The ways of an instance out of its container: closed for good, or released to `idle` (drain, redeploy, sleep).
 *
 * I1. Order: stop admission, let running calls finish within `exitTimeoutMs`, `exit` hooks, then the pin (C9, C10): a
 *     successor never starts before the pin says that this one has left.
 * I2. `exit` runs at most once: a second request joins the first.
 */
export class Leaving {
  readonly #deps: LeavingDeps;
  readonly #underway = new Map<Instance, Promise<DeactivatedBody>>();

  constructor(deps: LeavingDeps) {
    this.#deps = deps;
  }

  /** Ends with the pin `closed`. */
  close(
    instance: Instance,
    options: { readonly force: boolean; readonly timeoutMs: number },
  ): Promise<DeactivatedBody> {
    return this.#once(instance, () => this.#leave(instance, { reason: 'close', ...options }));
  }

  /** Ends with the pin `idle`. */
  release(instance: Instance, reason: 'drain' | 'idle' | 'redeploy'): Promise<DeactivatedBody> {
    const { exitTimeoutMs } = instance.klass.options;
    return this.#once(instance, () => this.#leave(instance, { reason, force: false, timeoutMs: exitTimeoutMs }));
  }

  /** Its place in the container is free. */
  detach(instance: Instance): void {
    const { container } = instance;
    if (container === null) return;
    void container.deactivate(instance.slot, { reason: null, timeoutMs: 0 });
    this.#deps.pool.leave(container);
    instance.container = null;
  }

  /** The constructor's arguments, fetched where they were too large for the pin. @throws NotFound */
  async argumentsOf(pin: Pin): Promise<Uint8Array> {
    const key = readReference(pin.args);
    if (key === null) return pin.args;
    const bytes = await this.#deps.objects.get(key);
    if (bytes === null)
      throw new HoldfastError('NotFound', `the constructor's arguments are not in the object store (${key})`);
    return bytes;
  }

  #once(instance: Instance, leave: () => Promise<DeactivatedBody>): Promise<DeactivatedBody> {
    const underway = this.#underway.get(instance);
    if (underway !== undefined) return underway;
    const leaving = leave().finally(() => this.#underway.delete(instance));
    this.#underway.set(instance, leaving);
    return leaving;
  }

  async #leave(
    instance: Instance,
    how: {
      readonly reason: 'close' | 'drain' | 'idle' | 'redeploy';
      readonly force: boolean;
      readonly timeoutMs: number;
    },
  ): Promise<DeactivatedBody> {
    await instance.settled();
    if (instance.phase !== 'active') return { exitHook: 'skipped' };
    const isClosing = how.reason === 'close';
    const waiting = instance.leave(isClosing);
    instance.refuse(waiting);
    const left = await this.#deps.pins.change(instance.key, instance.pin, {
      state: isClosing ? 'closing' : 'draining',
      why: how.reason,
    });
    if (left.applied) instance.pin = left.pin;
    const { exitTimeoutMs } = instance.klass.options;
    await this.#finishRunning(instance, how.force ? 0 : Math.min(how.timeoutMs, exitTimeoutMs));
    const exit = await this.#exit(instance, { reason: how.reason, timeoutMs: exitTimeoutMs });
    this.#deps.pool.leave(instance.container as NonNullable<typeof instance.container>);
    if (left.applied) {
      await this.#deps.pins.change(instance.key, instance.pin, {
        state: isClosing ? 'closed' : 'idle',
        why: how.reason,
        set: { restarted: false },
      });
    }
    instance.gone();
    this.#deps.instances.delete(instance.key);
    return exit;
  }

  /** Running calls finish; after `graceMs` they are aborted, and what ignores that dies with its container. */
  async #finishRunning(instance: Instance, graceMs: number): Promise<void> {
    if (await this.#quietWithin(instance, graceMs)) return;
    instance.abortRunning(CancelReason.forceClose);
    if (await this.#quietWithin(instance, Math.min(1_000, instance.klass.options.exitTimeoutMs))) return;
    await instance.container?.killed();
  }

  async #quietWithin(instance: Instance, withinMs: number): Promise<boolean> {
    if (instance.running === 0) return true;
    const enough = new AbortController();
    const late = this.#deps.clock.sleep(withinMs, enough.signal).catch(() => undefined); // aborted: it was quiet first
    await Promise.race([instance.quiet(), late]);
    enough.abort();
    return instance.running === 0;
  }

  /** The container bounds its hooks; one that does not answer even so is killed. */
  async #exit(
    instance: Instance,
    body: { readonly reason: 'close' | 'drain' | 'idle' | 'redeploy'; readonly timeoutMs: number },
  ): Promise<DeactivatedBody> {
    const { container } = instance;
    if (container === null || container.isDead) return { exitHook: 'skipped' };
    const enough = new AbortController();
    const late = this.#deps.clock.sleep(body.timeoutMs + 1_000, enough.signal).then(
      () => 'late' as const,
      () => 'late' as const,
    );
    const exit = await Promise.race([container.deactivate(instance.slot, body), late]);
    enough.abort();
    if (exit !== 'late') return exit;
    await container.killed();
    return { exitHook: 'timed-out', error: `exit hooks did not end within exitTimeoutMs of ${body.timeoutMs}` };
  }
}
