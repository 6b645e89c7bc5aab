import type { Clock, Monotonic, Random } from '../common/clock.js';
import type { Logger } from '../common/context.js';
import { isHoldfastError } from '../common/errors.js';
import { type BootId, instanceKey } from '../common/ids.js';
import { isAtWorker, type Pin } from '../common/pin.js';
import type { Ahead, AlarmClaim } from '../common/ports/alarm-store.js';
import type { Bus } from '../common/ports/bus.js';
import type { Store } from '../common/ports/store.js';
import type { TimerWheel } from '../common/timer-wheel.js';
import type { InstanceParts } from './pins/resolve.js';
import { askWorker } from './placement/worker-control.js';
import { OpenRequest } from './service/request.js';
import { abandon, careFor, resumeCalls, wakeForCalls } from './spawned.js';

/** What looking after alarms and spawned calls needs of a router. */
export interface AlarmParts extends InstanceParts {
  readonly store: Pick<Store, 'alarms' | 'calls'>;
  readonly bus: Bus;
  readonly clock: Clock;
  readonly random: Random;
  readonly wheel: TimerWheel;
  readonly log: Logger;
  readonly accounts: readonly string[];
}

/** So late an alarm rings, when all is well. */
const everyMs = 1_000;
/** Longer than the lease of a worker that was just lost, which a look outlasts, and than the placement that follows. */
const reachWithinMs = 20_000;
/** Longer than all that a look takes, and not by much: then another router has it. */
const claimMs = 22_000;
const ringWithinMs = 3_000;
/** Of one account. */
const mostUnderway = 256;
/** Whoever sets an alarm that is due this soon says so a second time; this is for those that died before they could. */
const mayCommitMs = 600_000;
/** The same of an activation that has had spawned calls. */
const mayRecordMs = 60_000;
/** How often somebody looks whether the worker of open calls is still there; where one is lost all of that is due at once. */
const watchMs = 10_000;
const resumeAgainMs = 250;

/**
 * Looks for alarms that are due, wakes their instances and has them ring, until the signal: every router does so, and a claim
 * keeps them apart. It looks after spawned calls whose worker is lost as well (R4). What a router does not end, as it died or the instance did not answer, is due again when its claim is over (A2).
 */
export async function keepAlarms(parts: AlarmParts, closed: AbortSignal): Promise<void> {
  await Promise.all(parts.accounts.map((account) => keepAlarmsOf(parts, account, closed)));
}

/** Each account by itself: instances of one that do not answer keep no other from its alarms. */
async function keepAlarmsOf(parts: AlarmParts, account: string, closed: AbortSignal): Promise<void> {
  const { clock, random, log } = parts;
  const underway = new Set<Promise<void>>();
  const losses = new Losses(parts, account);
  while (!closed.aborted) {
    // Routers that were started together need not look together.
    await clock.sleep(everyMs * (0.5 + random.next() / 2), closed).catch(() => undefined); // closed: the condition sees it
    const limit = mostUnderway - underway.size;
    const ahead = losses.ahead();
    if (closed.aborted || limit < 1) continue;
    try {
      const { claims, nowMs, seenMs } = await parts.store.alarms.claim(account, { limit, forMs: claimMs, ahead });
      losses.saw(seenMs);
      for (const claim of claims) {
        const look = lookAt(parts, { account, claim, nowMs }).finally(() => underway.delete(look));
        underway.add(look);
      }
    } catch (error) {
      // A store that is away is asked again in the next round.
      if (!isHoldfastError(error)) log.error('alarms.notClaimed', { account, error: String(error) });
    }
  }
}

/**
 * What looks of open calls are to find, found at once: after the loss of a worker those that are watched are looked at before their
 * time, each once. It costs what the next looks would have, and no list of who has which calls.
 */
class Losses {
  readonly #parts: Pick<AlarmParts, 'workers' | 'clock'>;
  readonly #account: string;
  readonly #alive = new Set<BootId>();
  /** Whoever was being watched when a worker was lost is due by then. */
  #until: Monotonic = Number.NEGATIVE_INFINITY;
  /** By the store's clock: until then this router has looked since the last loss, and alarms that are really set stay there. */
  #seenMs = 0;

  constructor(parts: Pick<AlarmParts, 'workers' | 'clock'>, account: string) {
    this.#parts = parts;
    this.#account = account;
  }

  /** Who is to be looked at before his time now. */
  ahead(): Ahead {
    const { workers, clock } = this.#parts;
    const now = clock.monotonic();
    for (const bootId of workers.boots(this.#account)) if (workers.isFresh(bootId)) this.#alive.add(bootId);
    for (const bootId of this.#alive) {
      if (workers.isFresh(bootId)) continue;
      this.#alive.delete(bootId);
      this.#until = now + watchMs;
      this.#seenMs = 0;
    }
    return { fromMs: this.#seenMs, withinMs: Math.max(0, Math.ceil(this.#until - now)) };
  }

  saw(seenMs: number): void {
    this.#seenMs = seenMs;
  }
}

interface Look {
  readonly account: string;
  readonly claim: AlarmClaim;
  readonly nowMs: number;
}

/** Never rejects: what fails is due again. */
async function lookAt(parts: AlarmParts, { account, claim, nowMs }: Look): Promise<void> {
  const { store, clock, wheel, log, workers } = parts;
  const principal = { kind: 'worker', account, role: 'call' } as const;
  const request = new OpenRequest(principal, reachWithinMs, { clock, wheel });
  try {
    // First: where nothing is running by now, no commit is under way that was announced and could still come.
    const seen = await parts.pins.read(claim.key, request);
    const [alarm, calls] = await Promise.all([store.alarms.get(claim.key), store.calls.pending(claim.key)]);
    const isDue = alarm !== null && alarm.dueMs <= nowMs;
    const care = careFor(calls, seen, ({ bootId }) => bootId !== null && workers.isFresh(bootId));
    if (!isDue && care !== 'resume') {
      const mayCommit = seen !== null && isAtWorker(seen.state);
      const recently = calls.adoptedBy !== null && calls.adoptedBy === seen?.epoch;
      const next = [alarm?.dueMs, care === 'watch' ? nowMs + watchMs : undefined];
      // Ahead of its time it may be between what its worker announced and the record of that.
      const mayComeMs = recently ? mayRecordMs : mayCommitMs;
      if (mayCommit) next.push(nowMs + (claim.isAhead ? watchMs : mayComeMs));
      return await store.alarms.lookAgain(account, claim, earliest(next));
    }
    const pin = await wakeForCalls(parts, claim.key, request);
    if (pin === null) {
      if (calls.open > 0) await abandon(parts, claim.key, await parts.pins.read(claim.key, request));
      // It may have been made again since: then its calls are not over, and whoever has it now goes on with them.
      const { open } = await store.calls.pending(claim.key);
      return await store.alarms.lookAgain(account, claim, open > 0 ? nowMs : null);
    }
    if (care === 'resume') await resume(parts, pin, request);
    if (isDue) await ring(parts, { pin, claim, id: alarm.id, signal: request.signal });
    else await store.alarms.lookAgain(account, claim, earliest([alarm?.dueMs, nowMs + watchMs]));
  } catch (error) {
    log.warn('alarm.notRung', { key: claim.key, error: error instanceof Error ? error.message : String(error) });
  } finally {
    request.end();
  }
}

function earliest(times: readonly (number | undefined)[]): number | null {
  const known = times.filter((time) => time !== undefined);
  return known.length === 0 ? null : Math.min(...known);
}

/** It may be leaving just now, or fail to come to life: then it is placed once more. @throws Unavailable */
async function resume(parts: AlarmParts, first: Pin, request: OpenRequest): Promise<void> {
  for (let pin: Pin | null = first; pin !== null; pin = await wakeForCalls(parts, instanceKey(pin.identity), request)) {
    if (await resumeCalls(parts, pin, request)) return;
    await parts.clock.sleep(resumeAgainMs, request.signal);
  }
}

async function ring(
  { bus }: AlarmParts,
  of: { readonly pin: Pin; readonly claim: AlarmClaim; readonly id: string; readonly signal: AbortSignal },
): Promise<void> {
  const { identity, workerId, bootId, epoch } = of.pin;
  if (workerId === null || bootId === null) return;
  const op = { $case: 'ring' as const, value: { key: of.claim.key, epoch, id: of.id } };
  const ask = { op, timeoutMs: ringWithinMs, signal: of.signal };
  await askWorker(bus, { account: identity.account, workerId, bootId }, ask);
}
