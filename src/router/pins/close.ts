import type { Clock } from '../../common/clock.js';
import { HoldfastError, isHoldfastError } from '../../common/errors.js';
import { type Identity, instanceKey } from '../../common/ids.js';
import { checkedIdentity } from '../../common/names.js';
import { type Pin, pinChange } from '../../common/pin.js';
import type { Bus } from '../../common/ports/bus.js';
import { constructorArguments } from '../../wire/constructor-arguments.js';
import type { CloseOp, CloseReply } from '../../wire/gen/holdfast/v1/router.js';
import { patiently } from '../patience.js';
import type { BootState, Leases } from '../placement/leases.js';
import type { PlaceSender } from '../placement/place-sender.js';
import { type Addressee, askWorker } from '../placement/worker-control.js';
import type { Request } from '../service/request.js';
import { instanceConflict } from './instance-errors.js';
import { Pace } from './pace.js';
import type { PinEvents } from './pin-events.js';
import type { PinViews } from './pin-views.js';
import type { Pins } from './pins.js';
import { lookAt } from './settle.js';

export interface CloseParts {
  readonly bus: Bus;
  readonly clock: Clock;
  readonly pins: Pins;
  readonly events: PinEvents;
  readonly leases: Leases;
  readonly sender: PlaceSender;
  readonly views: PinViews;
}

/** What is to be closed. By handle, only that generation: a newer instance of the id is another one (S12). */
interface Target {
  readonly identity: Identity;
  readonly generation: number | null;
  readonly argsHash: string | null;
}

/** How far a close request is. */
interface Ending {
  /** Null until it is known which one: a close by name takes the first that it finds, and no other. */
  generation: number | null;
  /** What became of the `exit` hooks, once somebody has said so. */
  exit: CloseReply | null;
}

interface OnClose extends CloseParts {
  readonly pace: Pace;
  readonly force: boolean;
  readonly ending: Ending;
}

/**
 * Ends an instance; idempotent (C9). The worker runs `exit` and moves the pin; the router only where there is no worker.
 * @throws InstanceConflict, PermissionDenied, DeadlineExceeded
 */
export async function close(parts: CloseParts, op: CloseOp, request: Request): Promise<CloseReply> {
  const target = await targetOf(parts, op, request);
  const key = instanceKey(target.identity);
  const on: OnClose = {
    ...parts,
    pace: new Pace(),
    force: op.force,
    ending: { generation: target.generation, exit: null },
  };
  for (let pin = await parts.pins.read(key, request); ; ) {
    request.throwIfAborted();
    if (isOver(on.ending, pin)) return on.ending.exit ?? alreadyClosed;
    if (target.argsHash !== null && pin.argsHash !== target.argsHash) throw instanceConflict(pin, target.argsHash);
    on.pace.saw(pin);
    on.ending.generation = pin.generation;
    pin = await closeStep(on, pin, request);
  }
}

const alreadyClosed: CloseReply = { closed: true, alreadyClosed: true, exitHook: 'none' };

/** A remade id is another instance, also when it was remade while this request waited. */
function isOver(ending: Ending, pin: Pin | null): pin is null {
  if (pin === null || pin.state === 'closed') return true;
  return ending.generation !== null && pin.generation !== ending.generation;
}

async function targetOf(parts: CloseParts, op: CloseOp, request: Request): Promise<Target> {
  const { target } = op;
  const argsHash = op.args === undefined ? null : constructorArguments(op.args).argsHash;
  if (target?.$case === 'handle') return { ...(await parts.views.verify(target.value, request)), argsHash };
  if (target === undefined) throw new HoldfastError('InvalidArgument', 'close: neither a handle nor a name was given');
  const { app, className, id } = target.value;
  const identity = checkedIdentity({ account: request.account, app, className, id });
  return { identity, generation: null, argsHash };
}

/** Gives the pin to look at next. */
function closeStep(on: OnClose, pin: Pin, request: Request): Promise<Pin | null> {
  switch (pin.state) {
    case 'idle':
      return closeAsleep(on, pin, request);
    case 'lost':
      return closeDirectly(on, pin, { request, why: 'closed', exitHook: 'none' });
    case 'placing':
      return closePlacing(on, pin, request);
    case 'active':
    case 'closing':
      return closeAtWorker(on, pin, request);
    case 'draining':
      request.waiting.what = `worker ${pin.workerId} to drain the instance that is to be closed`;
      return lookAgain(on, pin, request);
    case 'closed':
      return Promise.resolve(pin);
    default:
      return pin.state satisfies never;
  }
}

async function closeDirectly(
  on: OnClose,
  pin: Pin,
  how: { readonly request: Request; readonly why: string; readonly exitHook: 'none' | 'skipped' },
): Promise<Pin | null> {
  const change = pinChange(pin, 'closed', { opId: on.pins.newOpId(), why: how.why, atMs: on.clock.now() });
  const result = await on.pins.change(instanceKey(pin.identity), change, how.request);
  // Where a drain ran the hooks and only the pin was left to close, they did run.
  if (result.applied) on.ending.exit ??= { closed: true, alreadyClosed: false, exitHook: how.exitHook };
  return result.pin;
}

const forgetWithinMs = 1_000;

/** A session has left its files where it sleeps; a boot that does not hear of its end removes them at its own. */
async function closeAsleep(on: OnClose, pin: Pin, request: Request): Promise<Pin | null> {
  const left = await closeDirectly(on, pin, { request, why: 'closed', exitHook: 'none' });
  const { kind, workerId, bootId, identity, generation } = pin;
  if (kind === 'class' || workerId === null || bootId === null) return left;
  const value = { key: instanceKey(identity), generation };
  const ask = { op: { $case: 'forget' as const, value }, timeoutMs: forgetWithinMs, signal: request.signal };
  // The pin is closed whoever answers.
  await askWorker(on.bus, { account: identity.account, workerId, bootId }, ask).catch(() => undefined);
  return left;
}

/** It goes on to active first, where its worker takes it: only then can anyone say that it ended (S5). */
async function closePlacing(on: OnClose, pin: Pin, request: Request): Promise<Pin | null> {
  request.waiting.what = `worker ${pin.workerId} to take the instance that is to be closed`;
  const outcome = await on.sender.place(pin);
  if (outcome.phase === 'active') return { ...pin, state: 'active' };
  if (outcome.phase === 'refused')
    return closeDirectly(on, pin, { request, why: 'closed, placing refused', exitHook: 'none' });
  return lookAgain(on, pin, request);
}

async function closeAtWorker(on: OnClose, pin: Pin, request: Request): Promise<Pin | null> {
  const { workerId, bootId } = pin;
  request.waiting.what = `worker ${workerId} to end the instance`;
  if (workerId !== null && bootId !== null) {
    const reply = await askToClose(on, { pin, to: { account: pin.identity.account, workerId, bootId } }, request);
    if (reply?.closed) {
      on.ending.exit ??= reply;
      // The worker may have been draining it, which ends in `idle`: the pin is what counts.
      const left = await on.pins.read(instanceKey(pin.identity), request);
      if (left?.epoch !== pin.epoch || left.state !== pin.state) return left;
    } else if (reply !== null && (await on.sender.isAbsent(pin))) {
      return closeDirectly(on, pin, { request, why: 'closed, not at its worker', exitHook: 'none' });
    }
  }
  return lookAgain(on, pin, request);
}

/** Null: the worker did not answer; the pin and the lease say more. */
async function askToClose(on: OnClose, at: { pin: Pin; to: Addressee }, request: Request): Promise<CloseReply | null> {
  const { pin, to } = at;
  const remainingMs = Math.max(1, Math.floor(request.deadline - on.clock.monotonic()));
  const value = { key: instanceKey(pin.identity), epoch: pin.epoch, force: on.force, timeoutMs: remainingMs };
  const answered = new AbortController();
  // The bus does not tell when a worker dies that has the request: its lease does.
  const bootIsOver = new AbortController();
  const watching = watchBoot(on, pin, AbortSignal.any([request.signal, answered.signal])).then((isOver) => {
    if (isOver) bootIsOver.abort();
  });
  try {
    const signal = AbortSignal.any([request.signal, bootIsOver.signal]);
    return await askWorker(on.bus, to, { op: { $case: 'close', value }, timeoutMs: remainingMs, signal });
  } catch (error) {
    request.throwIfAborted();
    if (bootIsOver.signal.aborted || (isHoldfastError(error) && error.retryable)) return null;
    throw error;
  } finally {
    answered.abort();
    await watching;
  }
}

const watchEveryMs = 1_000;

/** True when the boot is over; false at the signal. */
async function watchBoot(on: OnClose, pin: Pin, signal: AbortSignal): Promise<boolean> {
  while (!signal.aborted) {
    // Aborted: the loop's condition sees it. A store that is away says nothing about the boot.
    await on.clock.sleep(watchEveryMs, signal).catch(() => undefined);
    const boot = signal.aborted ? null : await look(on, pin).catch(() => null);
    if (boot?.phase === 'over') return true;
  }
  return false;
}

/** Where its boot is over nobody else will close it. Else: at the pin's next event, or after a while. */
async function lookAgain(on: OnClose, pin: Pin, request: Request): Promise<Pin | null> {
  const boot = await patiently(on.clock, request, () => look(on, pin));
  if (boot.phase === 'over') {
    const exitHook = pin.state === 'placing' ? 'none' : 'skipped';
    return closeDirectly(on, pin, { request, why: 'closed, worker lost', exitHook });
  }
  const key = instanceKey(pin.identity);
  const delayMs = boot.phase === 'ending' ? Math.min(on.pace.nextMs(), boot.graceMs) : on.pace.nextMs();
  await on.events.next(key, delayMs, request.signal);
  return on.pins.read(key, request);
}

function look(on: OnClose, pin: Pin): Promise<BootState> {
  return lookAt(pin.bootId, (bootId) => on.leases.look(bootId));
}
