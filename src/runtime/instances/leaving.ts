import type { Clock } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import type { InstanceKey } from '../../common/ids.js';
import type { Pin } from '../../common/pin.js';
import type { ObjectStore } from '../../common/ports/object-store.js';
import { isEndless } from '../../common/sandbox-methods.js';
import { readReference } from '../../wire/codec/codec.js';
import { CancelReason, type DeactivateBody, type DeactivatedBody } from '../../wire/frames/frames.js';
import type { WorkerCall } from '../calls/worker-call.js';
import type { Container } from '../hosting/container.js';
import type { ContainerPools } from '../hosting/container-pools.js';
import type { Seat } from '../pool/pool-place.js';
import type { Instance } from './instance.js';
import type { PinKeeper } from './pin-keeper.js';

export interface LeavingDeps {
  readonly clock: Clock;
  readonly pools: ContainerPools;
  readonly pins: PinKeeper;
  readonly objects: ObjectStore;
  readonly instances: Map<InstanceKey, Instance>;
}

interface How {
  readonly reason: 'close' | 'drain' | 'idle' | 'redeploy';
  readonly force: boolean;
  readonly timeoutMs: number;
}

/** A container answers within the time that its hooks have; this much later it does not answer at all. */
const answerWithinMs = 1_000;

/**
 * The ways of an instance out of its container: closed for good, released to `idle` (drain, redeploy, sleep), given up before
 * it was alive, or lost with its container.
 *
 * I1. Order: stop admission, let running calls finish within `exitTimeoutMs`, `exit` hooks, then the pin (C9, C10): a
 *     successor never starts before the pin says that this one has left.
 * I2. `exit` runs at most once: a second request joins the first.
 */
export class Leaving {
  readonly #deps: LeavingDeps;
  readonly #underway = new Map<Instance, Promise<DeactivatedBody>>();
  /** Whose container died: until their pins say so. */
  readonly #dying = new Map<Instance, Promise<void>>();

  constructor(deps: LeavingDeps) {
    this.#deps = deps;
  }

  /** Ends with the pin `closed`; with whatever it is where the instance dies first. */
  close(
    instance: Instance,
    options: { readonly force: boolean; readonly timeoutMs: number },
  ): Promise<DeactivatedBody> {
    return this.#once(instance, { reason: 'close', ...options });
  }

  /** Ends with the pin `idle`. */
  release(instance: Instance, reason: 'drain' | 'idle' | 'redeploy'): Promise<DeactivatedBody> {
    return this.#once(instance, { reason, force: false, timeoutMs: instance.klass.options.exitTimeoutMs });
  }

  /** All that are here now, and those whose container has just died; how many left. */
  async releaseAll(reason: 'drain'): Promise<number> {
    const leaving = [...this.#deps.instances.values()].map((instance) => this.release(instance, reason));
    const left = await Promise.allSettled(leaving);
    return left.filter(({ status }) => status === 'fulfilled').length;
  }

  /** Its activation failed: resolves when its place in the container is free and no code of it runs any more (S8). */
  async giveUp(instance: Instance): Promise<void> {
    const { container, slot } = instance;
    if (container === null) return;
    instance.container = null;
    await this.giveUpPlace(instance, { container, slot });
  }

  /** The same of one container of a pool. */
  async giveUpPlace({ klass }: Instance, { container, slot }: Seat): Promise<void> {
    const { tasksPerContainer, exitTimeoutMs } = klass.options;
    if (tasksPerContainer > 1) await this.#deactivate(container, slot, { reason: null, timeoutMs: exitTimeoutMs });
    else await container.stopped();
    const left = this.#deps.pools.of(klass).leave(container);
    await (container.hasVolumes ? this.#settled(left, exitTimeoutMs) : left);
  }

  /** A container of a pool that stays: its `exit` hooks, then its place. Never rejects. */
  async retire(instance: Instance, place: Seat): Promise<void> {
    await this.#leavePlace(instance, place, { reason: 'idle', timeoutMs: instance.klass.options.exitTimeoutMs });
  }

  /** The death of a container is a loss of its instances (S3): the pin says so before those who waited look for it. */
  died(instance: Instance, waiting: readonly WorkerCall[]): void {
    const dying = this.#lose(instance, waiting).finally(() => this.#dying.delete(instance));
    this.#dying.set(instance, dying);
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

  #once(instance: Instance, how: How): Promise<DeactivatedBody> {
    const underway = this.#underway.get(instance);
    if (underway !== undefined) return underway;
    const leaving = this.#leave(instance, how).finally(() => this.#underway.delete(instance));
    this.#underway.set(instance, leaving);
    return leaving;
  }

  async #leave(instance: Instance, how: How): Promise<DeactivatedBody> {
    const before = instance.phase;
    if (before === 'leaving' || before === 'gone') {
      await this.#dying.get(instance);
      return { exitHook: 'skipped' };
    }
    const isClosing = how.reason === 'close';
    instance.refuse(instance.leave(isClosing ? 'closing' : 'moving'));
    await instance.settled();
    if (instance.phase === 'gone') return { exitHook: 'skipped' };
    const left = await this.#deps.pins.change(instance.key, instance.pin, {
      state: isClosing ? 'closing' : 'draining',
      why: how.reason,
    });
    if (left.applied) instance.pin = left.pin;
    const exit = await this.#end(instance, how);
    await instance.pool?.lost.none();
    await instance.recorded();
    if (left.applied) {
      await this.#deps.pins.change(instance.key, instance.pin, {
        state: isClosing ? 'closed' : 'idle',
        why: how.reason,
        set: { restarted: false },
      });
    }
    this.#forget(instance);
    return exit;
  }

  /** Its code: what runs, then the `exit` hooks, then its place. */
  async #end(instance: Instance, { reason, force, timeoutMs }: How): Promise<DeactivatedBody> {
    const places = await placesOf(instance);
    if (places.length === 0) return { exitHook: 'skipped' };
    const { exitTimeoutMs } = instance.klass.options;
    if (instance.klass.kind === 'sandbox') {
      instance.abortRunning(CancelReason.forceClose, ({ method }) => isEndless(method));
    }
    await this.#finishRunning(instance, places, force ? 0 : Math.min(timeoutMs, exitTimeoutMs));
    const body = { reason, timeoutMs: exitTimeoutMs };
    const exits = await Promise.all(places.map((place) => this.#leavePlace(instance, place, body)));
    return exits.find(({ error }) => error !== undefined) ?? exits[0] ?? { exitHook: 'skipped' };
  }

  /** Its `exit` hooks, then its place. */
  async #leavePlace({ klass }: Instance, { container, slot }: Seat, body: DeactivateBody): Promise<DeactivatedBody> {
    const exit = await this.#deactivate(container, slot, body);
    // What ignores that its time is over would run beside the next activation (S8).
    if (exit.exitHook === 'timed-out') await container.stopped();
    const left = this.#deps.pools.of(klass).leave(container);
    // Nothing of it runs any more, so nobody has to wait for the end of the process, but for what it wrote into volumes.
    if (!container.hasVolumes) return exit;
    const problem = await this.#settled(left, body.timeoutMs);
    if (problem === null) return exit;
    return { ...exit, error: exit.error === undefined ? problem : `${exit.error}; ${problem}` };
  }

  /**
   * Committed, or on its way: an object store that is slow or away does not keep an instance from leaving. Null, or what whoever
   * ends it must know.
   */
  async #settled(left: Promise<string | null>, withinMs: number): Promise<string | null> {
    const enough = new AbortController();
    const late = this.#deps.clock.sleep(withinMs, enough.signal).then(
      () => `what it wrote into its volumes is not committed yet, after exitTimeoutMs of ${withinMs}`,
      () => null, // settled first
    );
    const problem = await Promise.race([left, late]);
    enough.abort();
    return problem;
  }

  /** Running calls finish; after `graceMs` they are aborted, and what ignores that dies with its container. */
  async #finishRunning(instance: Instance, places: readonly Seat[], graceMs: number): Promise<void> {
    if (await this.#quietWithin(instance, graceMs)) return;
    instance.abortRunning(CancelReason.forceClose);
    if (await this.#quietWithin(instance, Math.min(answerWithinMs, instance.klass.options.exitTimeoutMs))) return;
    await Promise.all(places.map(({ container }) => container.stopped()));
  }

  async #quietWithin(instance: Instance, withinMs: number): Promise<boolean> {
    if (instance.isQuiet || withinMs === 0) return instance.isQuiet;
    const enough = new AbortController();
    const late = this.#deps.clock.sleep(withinMs, enough.signal).catch(() => undefined); // aborted: it was quiet first
    await Promise.race([instance.quiet(), late]);
    enough.abort();
    return instance.isQuiet;
  }

  /** The container bounds its hooks; one that does not answer even so is killed. */
  async #deactivate(container: Container, slot: number, body: DeactivateBody): Promise<DeactivatedBody> {
    const enough = new AbortController();
    const late = this.#deps.clock.sleep(body.timeoutMs + answerWithinMs, enough.signal).then(
      () => 'late' as const,
      () => 'late' as const,
    );
    const exit = await Promise.race([container.deactivate(slot, body), late]);
    enough.abort();
    if (exit !== 'late') return exit;
    await container.stopped();
    return { exitHook: 'timed-out', error: `exit hooks did not end within exitTimeoutMs of ${body.timeoutMs}` };
  }

  async #lose(instance: Instance, waiting: readonly WorkerCall[]): Promise<void> {
    const { pin } = instance;
    const isRecreated = pin.onLoss === 'recreate';
    const set = { restarted: isRecreated, restarts: pin.restarts + (isRecreated ? 1 : 0) };
    const state = isRecreated ? 'idle' : 'lost';
    // Nothing of it runs when the pin says that it is gone (S8).
    if (instance.pool !== null)
      await Promise.all((await instance.pool.close()).map(({ container }) => container.stopped()));
    await instance.pool?.lost.none();
    await instance.recorded();
    // Over: its lease says it.
    await this.#deps.pins.change(instance.key, pin, { state, why: 'container died', set }).catch(() => undefined);
    instance.refuse(waiting);
    this.#forget(instance);
  }

  #forget(instance: Instance): void {
    this.#deps.instances.delete(instance.key);
    instance.gone();
  }
}

/** Where its code runs; of a pool when nothing more comes or goes. */
async function placesOf({ pool, container, slot }: Instance): Promise<readonly Seat[]> {
  const own = container === null ? [] : [{ container, slot }];
  return pool === null ? own : [...own, ...(await pool.close())];
}
