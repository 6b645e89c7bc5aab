import type { Clock } from '../../common/clock.js';
import type { Logger } from '../../common/context.js';
import { isHoldfastError } from '../../common/errors.js';
import { instanceKey } from '../../common/ids.js';
import type { DeploymentRecord } from '../../common/manifest.js';
import type { Pin } from '../../common/pin.js';
import type { Bus } from '../../common/ports/bus.js';
import type { PinStore } from '../../common/ports/store.js';
import { askWorker } from '../placement/worker-control.js';

const pageSize = 200;
const atOnce = 32;
/** How often all classes are gone through: instances that were being placed turn up in a later pass. */
const maxPasses = 20;
const betweenPassesMs = 250;
/**
 * When what began on the version before is looked for once more. By then other routers know of the new one and clients make no more names on what
 * they were told before (S13); by the last of them also what was on its way to a worker that stood still.
 */
const lateMs = [4_000, 15_000];
/** On top of the exit time that the class allows itself. */
const answerAfterMs = 10_000;

/** Restarts of instances that a deploy asked for: each drains and starts on the new version at its next call (C11). */
export class Redeploys {
  readonly #parts: { pins: PinStore; bus: Bus; clock: Clock; log: Logger; closed: AbortSignal };

  constructor(parts: { pins: PinStore; bus: Bus; clock: Clock; log: Logger; closed: AbortSignal }) {
    this.#parts = parts;
  }

  /** Resolves when all have ended, or after `waitMs` while it goes on in the background; ends with the router. */
  async restart(deployment: DeploymentRecord, classNames: readonly string[], waitMs: number): Promise<void> {
    const { clock } = this.#parts;
    const enough = new AbortController();
    const startedAt = clock.monotonic();
    const restarting = this.#passes(deployment, classNames);
    const late = restarting.then(async () => {
      for (const afterMs of lateMs) {
        await clock.sleep(Math.max(0, startedAt + afterMs - clock.monotonic()), this.#parts.closed);
        await this.#passes(deployment, classNames);
      }
    });
    late.catch((error: unknown) => this.#failed(deployment, error));
    // Aborted: the restarts ended first. They failed: it is told above.
    const waited = clock.sleep(waitMs, enough.signal).catch(() => undefined);
    await Promise.race([restarting.catch(() => undefined), waited]);
    enough.abort();
  }

  #failed({ app }: DeploymentRecord, error: unknown): void {
    if (!this.#parts.closed.aborted) this.#parts.log.warn('redeploy.failed', { app, error: String(error) });
  }

  async #passes(deployment: DeploymentRecord, classNames: readonly string[]): Promise<void> {
    const { clock, closed } = this.#parts;
    for (let pass = 0; pass < maxPasses; pass++) {
      let left = 0;
      for (const className of classNames) left += await this.#restartClass(deployment, className).catch(isLeft);
      if (left === 0) return;
      await clock.sleep(betweenPassesMs, closed);
    }
  }

  /** Gives how many may still run an older version. */
  async #restartClass(deployment: DeploymentRecord, className: string): Promise<number> {
    const { account, app } = deployment;
    let left = 0;
    let after: string | null = null;
    do {
      const page = await this.#parts.pins.list({ account, app, className }, { limit: pageSize, after });
      const older = page.pins.filter((pin) => pin.deployment < deployment.version && runsSoon(pin));
      const exitTimeoutMs = deployment.manifest.classes[className]?.options.exitTimeoutMs ?? 30_000;
      const released = await eachOf(older, (pin) => this.#release(pin, exitTimeoutMs));
      left += released.filter((isReleased) => !isReleased).length;
      after = page.next;
    } while (after !== null);
    return left;
  }

  /** False: ask again in the next pass. */
  async #release(pin: Pin, exitTimeoutMs: number): Promise<boolean> {
    const { bus, closed, log } = this.#parts;
    const { identity, workerId, bootId } = pin;
    if (pin.state !== 'active' || workerId === null || bootId === null) return false;
    const key = instanceKey(identity);
    const op = { $case: 'release' as const, value: { key, epoch: pin.epoch, reason: 'redeploy' } };
    try {
      const to = { account: identity.account, workerId, bootId };
      const { released } = await askWorker(bus, to, {
        op,
        timeoutMs: exitTimeoutMs * 2 + answerAfterMs,
        signal: closed,
      });
      return released;
    } catch (error) {
      // A worker that is gone runs nothing old; whoever needs the instance next finds that out by its lease. Of a bus that is away
      // nobody learns who is gone.
      if (isHoldfastError(error, 'Unavailable') && error.outcome === 'not-run') return bus.isConnected;
      closed.throwIfAborted();
      log.warn('redeploy.unreleased', { key, worker: workerId, error: String(error) });
      return false;
    }
  }
}

/** A store that is away is asked again in the next pass. */
function isLeft(error: unknown): number {
  if (isHoldfastError(error) && error.retryable) return 1;
  throw error;
}

function runsSoon({ state }: Pin): boolean {
  return state === 'active' || state === 'placing';
}

async function eachOf<T, R>(items: readonly T[], task: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  const remaining = items.entries();
  const take = async (): Promise<void> => {
    for (const [i, item] of remaining) results[i] = await task(item);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, take));
  return results;
}
