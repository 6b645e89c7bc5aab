import type { Clock } from '../common/clock.js';
import { HoldfastError, isHoldfastError } from '../common/errors.js';
import { describeIdentity, type InstanceKey, instanceKey } from '../common/ids.js';
import { checkedIdentity } from '../common/names.js';
import { isAtWorker, type Pin } from '../common/pin.js';
import type { Bus } from '../common/ports/bus.js';
import type { CallEnd, CallRecord } from '../common/ports/call-store.js';
import type { Store } from '../common/ports/store.js';
import { type CallId, instanceOfCall, isEnded } from '../common/spawned-call.js';
import { encodeError } from '../wire/errors.js';
import type {
  CancelSpawnedAnswer,
  CancelSpawnedRequest,
  GetSpawnedRequest,
  ListSpawnedReply,
  ListSpawnedRequest,
  SpawnedView,
} from '../wire/gen/holdfast/v1/router.js';
import { instanceGone } from './pins/instance-errors.js';
import { type InstanceParts, reach } from './pins/resolve.js';
import { type Addressee, askWorker } from './placement/worker-control.js';
import type { Request } from './service/request.js';
import type { SpawnedEnds } from './spawned-ends.js';
import { type InspectParts, inspect } from './views/inspect.js';

export interface SpawnedParts extends InstanceParts {
  readonly store: Pick<Store, 'calls'>;
  readonly bus: Bus;
  readonly clock: Clock;
}

/** What waiting for one needs. */
export type WaitParts = SpawnedParts & InspectParts & { readonly ends: SpawnedEnds };

type Known = CallRecord & { readonly answer: Uint8Array | null };

/** Who waits for a call is told of its end; where that was lost, he looks after this, and ever later. */
const firstLookMs = 250;
const longestLookMs = 2_000;
const longestWaitMs = 30_000;
const askWithinMs = 10_000;
/** One that is silent: it may be gone, and no answer says so. It is asked again until its lease is over. */
const askSilentWithinMs = 1_000;
const againAfterMs = 200;
const mostListed = 1_000;

/** A spawned call; where that is asked for, when it has ended. @throws NotFound */
export async function getSpawned(parts: WaitParts, ask: GetSpawnedRequest, request: Request): Promise<SpawnedView> {
  checkedKey(ask.id);
  const { clock, ends } = parts;
  const until = clock.monotonic() + Math.min(longestWaitMs, Math.max(0, ask.waitMs));
  for (let lookMs = firstLookMs; ; lookMs = Math.min(longestLookMs, lookMs * 2)) {
    const leftMs = until - clock.monotonic();
    // Before the look: an end that is told while it is under way must not be lost.
    const end = leftMs > 0 ? ends.await(ask.id, Math.min(lookMs, leftMs)) : null;
    try {
      const call = await known(parts, ask.id as CallId, request);
      if (end === null || isEnded(call.progress)) {
        const where = ask.explain ? await whereIs(parts, call, request) : undefined;
        return { ...viewOf(call), answer: call.answer === null ? undefined : Buffer.from(call.answer), where };
      }
      await request.race(end.passed);
    } finally {
      end?.leave();
    }
  }
}

/** Those of one instance, without their answers. */
export async function listSpawned(
  { store }: Pick<SpawnedParts, 'store'>,
  { instance, limit }: ListSpawnedRequest,
  { account }: Request,
): Promise<ListSpawnedReply> {
  const { app = '', className = '', id = '' } = instance ?? {};
  const key = instanceKey(checkedIdentity({ account, app, className, id }));
  const calls = await store.calls.list(key, Math.min(mostListed, limit > 0 ? limit : 100));
  return { calls: calls.map(viewOf) };
}

/** Asks the worker that has it, which is found where it was lost. @throws NotFound, Unavailable */
export async function cancelSpawned(
  parts: SpawnedParts,
  { id }: CancelSpawnedRequest,
  request: Request,
): Promise<CancelSpawnedAnswer> {
  const key = checkedKey(id);
  for (;;) {
    const { progress, head } = await known(parts, id as CallId, request);
    if (isEnded(progress)) return { outcome: 'already-finished' };
    const pin = await wakeForCalls(parts, key, request);
    if (pin === null) {
      await abandon(parts, key, pin);
      continue;
    }
    request.waiting.what = `worker ${pin.workerId} to cancel a call of ${describeIdentity(head.identity)}`;
    const { epoch } = pin;
    const op = { $case: 'cancelSpawned' as const, value: { key, epoch, id } };
    const reply = await askWorker(parts.bus, addressOf(pin), {
      op,
      timeoutMs: patienceWith(parts, pin),
      signal: request.signal,
    }).catch(unlessAway);
    if (reply !== null && reply.outcome !== '') return { outcome: reply.outcome };
    await parts.clock.sleep(againAfterMs, request.signal);
  }
}

/** Where its instance is active; null: it is closed, or lost for good. */
export async function wakeForCalls(parts: SpawnedParts, key: InstanceKey, request: Request): Promise<Pin | null> {
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

/** Has the worker go on with what an earlier activation has left. False: the instance is not there (any more). */
export async function resumeCalls(parts: SpawnedParts, pin: Pin, request: Request): Promise<boolean> {
  const op = { $case: 'resumeCalls' as const, value: { key: instanceKey(pin.identity), epoch: pin.epoch } };
  const reply = await askWorker(parts.bus, addressOf(pin), {
    op,
    timeoutMs: patienceWith(parts, pin),
    signal: request.signal,
  }).catch(unlessAway);
  return reply?.resumed ?? false;
}

/** What nobody can run any more is ended: its instance is closed, or lost for good. */
export async function abandon(
  { store, clock }: Pick<SpawnedParts, 'store' | 'clock'>,
  key: InstanceKey,
  pin: Pin | null,
): Promise<void> {
  const endedAtMs = Math.round(clock.now());
  const end = (state: 'failed' | 'lost', error: HoldfastError): CallEnd => ({
    progress: { state, attempt: 1, losses: 0, startedAtMs: null, endedAtMs },
    answer: encodeError(error),
  });
  const what = pin === null ? 'its instance' : `instance ${describeIdentity(pin.identity)}`;
  const isLost = pin?.state === 'lost';
  const never = new HoldfastError(
    isLost ? 'InstanceLost' : 'InstanceClosed',
    isLost ? `${what} was lost with its worker, and its onLoss is 'fail'` : `${what} was closed before the call ran`,
  );
  const unknown = new HoldfastError('OutcomeUnknown', `the call had begun when ${what} was lost`, {
    outcome: 'unknown',
  });
  await store.calls.abandon(key, { unbegun: end('failed', never), begun: end('lost', unknown) });
}

/** What is to be done about the calls of an instance that somebody looks at. */
export function careFor(
  { open, adoptedBy }: { readonly open: number; readonly adoptedBy: number | null },
  pin: Pin | null,
  isHeard: (pin: Pin) => boolean,
): 'nothing' | 'watch' | 'resume' {
  if (open === 0) return 'nothing';
  const isInHands = pin !== null && isAtWorker(pin.state) && pin.epoch === adoptedBy && isHeard(pin);
  return isInHands ? 'watch' : 'resume';
}

function addressOf({ identity, workerId, bootId }: Pin): Addressee {
  if (workerId !== null && bootId !== null) return { account: identity.account, workerId, bootId };
  throw new HoldfastError('Unavailable', `instance ${describeIdentity(identity)} is at no worker`);
}

/** Another boot, or nobody: whoever asks looks again. */
function patienceWith({ workers }: SpawnedParts, { bootId }: Pin): number {
  return bootId !== null && workers.isFresh(bootId) ? askWithinMs : askSilentWithinMs;
}

function unlessAway(error: unknown): null {
  if (isHoldfastError(error, 'Unavailable')) return null;
  throw error;
}

async function known(parts: Pick<SpawnedParts, 'store'>, id: CallId, request: Request): Promise<Known> {
  const call = await parts.store.calls.get(id);
  if (call !== null && call.head.identity.account === request.account) return call;
  throw new HoldfastError('NotFound', `there is no call ${id}; what has ended is kept for 24 h`, { details: { id } });
}

function checkedKey(id: string): InstanceKey {
  const key = instanceOfCall(id);
  if (key !== null) return key;
  throw new HoldfastError('InvalidArgument', `${JSON.stringify(id.slice(0, 100))} is not the id of a call`);
}

/** Where it runs or waits; of a closed instance nothing is known. */
async function whereIs(parts: InspectParts, { head }: Known, request: Request): Promise<SpawnedView['where']> {
  const { app, className, id } = head.identity;
  const ask = { instance: { app, className, id }, explain: true, generation: head.generation };
  return await inspect(parts, ask, request).catch((error: unknown) => {
    if (isHoldfastError(error, 'NotFound') || isHoldfastError(error, 'InstanceGone')) return undefined;
    throw error;
  });
}

function viewOf({ id, head, progress }: CallRecord): SpawnedView {
  const { app, className, id: instanceId } = head.identity;
  return {
    id,
    instance: { app, className, id: instanceId },
    method: head.method,
    state: progress.state,
    attempt: progress.attempt,
    spawnedAtMs: head.spawnedAtMs,
    startedAtMs: progress.startedAtMs ?? undefined,
    endedAtMs: progress.endedAtMs ?? undefined,
    answer: undefined,
    losses: progress.losses,
    where: undefined,
  };
}
