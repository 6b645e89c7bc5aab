import type { Clock, Random } from '../common/clock.js';
import type { Logger } from '../common/context.js';
import { isHoldfastError } from '../common/errors.js';
import { isAtWorker, type Pin } from '../common/pin.js';
import type { AlarmClaim } from '../common/ports/alarm-store.js';
import type { Bus } from '../common/ports/bus.js';
import type { Store } from '../common/ports/store.js';
import type { TimerWheel } from '../common/timer-wheel.js';
import { instanceGone } from './instance-errors.js';
import { OpenRequest } from './request.js';
import { type InstanceParts, reach } from './resolve.js';
import { askWorker } from './worker-control.js';

/** What looking after alarms needs of a router. */
export interface AlarmParts extends InstanceParts {
  readonly store: Pick<Store, 'alarms'>;
  readonly bus: Bus;
  readonly clock: Clock;
  readonly random: Random;
  readonly wheel: TimerWheel;
  readonly log: Logger;
  readonly accounts: readonly string[];
}

/** So late an alarm rings, when all is well. */
const everyMs = 1_000;
/** Longer than all that a look takes: then another router has it. */
const claimMs = 30_000;
const reachWithinMs = 20_000;
const ringWithinMs = 3_000;
/** Of one account. */
const mostUnderway = 256;
/** Whoever sets an alarm that is due this soon says so a second time; this is for those that died before they could. */
const mayCommitMs = 600_000;

/**
 * Looks for alarms that are due, wakes their instances and has them ring, until the signal: every router does so, and a claim
 * keeps them apart. What a router does not end, as it died or the instance did not answer, is due again when its claim is over (A2).
 */
export async function keepAlarms(parts: AlarmParts, closed: AbortSignal): Promise<void> {
  await Promise.all(parts.accounts.map((account) => keepAlarmsOf(parts, account, closed)));
}

/** Each account by itself: instances of one that do not answer keep no other from its alarms. */
async function keepAlarmsOf(parts: AlarmParts, account: string, closed: AbortSignal): Promise<void> {
  const { clock, random, log } = parts;
  const underway = new Set<Promise<void>>();
  while (!closed.aborted) {
    // Routers that were started together need not look together.
    await clock.sleep(everyMs * (0.5 + random.next() / 2), closed).catch(() => undefined); // closed: the condition sees it
    const limit = mostUnderway - underway.size;
    if (closed.aborted || limit < 1) continue;
    try {
      const { claims, nowMs } = await parts.store.alarms.claim(account, { limit, forMs: claimMs });
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

interface Look {
  readonly account: string;
  readonly claim: AlarmClaim;
  readonly nowMs: number;
}

/** Never rejects: what fails is due again. */
async function lookAt(parts: AlarmParts, { account, claim, nowMs }: Look): Promise<void> {
  const { store, clock, wheel, log } = parts;
  const principal = { kind: 'worker', account, role: 'call' } as const;
  const request = new OpenRequest(principal, reachWithinMs, { clock, wheel });
  try {
    // Before the alarm: where nothing is running by now, no commit is under way that sets one and was announced.
    const seen = await parts.pins.read(claim.key, request);
    const alarm = await store.alarms.get(claim.key);
    if (alarm === null || alarm.dueMs > nowMs) {
      const mayCommit = seen !== null && isAtWorker(seen.state);
      await store.alarms.lookAgain(account, claim, alarm?.dueMs ?? (mayCommit ? nowMs + mayCommitMs : null));
      return;
    }
    const pin = await wake(parts, claim, request);
    if (pin === null) await store.alarms.lookAgain(account, claim, null);
    else await ring(parts, { pin, claim, id: alarm.id, signal: request.signal });
  } catch (error) {
    log.warn('alarm.notRung', { key: claim.key, error: error instanceof Error ? error.message : String(error) });
  } finally {
    request.end();
  }
}

/** Where it is active; null: it is closed, or lost for good. */
async function wake(parts: AlarmParts, { key }: AlarmClaim, request: OpenRequest): Promise<Pin | null> {
  const seen = await parts.pins.read(key, request);
  if (seen === null) return null;
  const { identity, generation } = seen;
  const judge = (pin: Pin | null): void => {
    if (pin === null || pin.state === 'closed' || pin.state === 'lost') throw instanceGone(identity, generation, pin);
  };
  try {
    return await reach(parts, { key, identity, making: null, failedEpoch: null, judge }, request);
  } catch (error) {
    if (isHoldfastError(error, 'InstanceGone') || isHoldfastError(error, 'InstanceLost')) return null;
    throw error;
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
