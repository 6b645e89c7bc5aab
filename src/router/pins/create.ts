import { ulid } from 'ulid';
import type { Clock, Random } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import { instanceKey } from '../../common/ids.js';
import { checkedIdentity } from '../../common/names.js';
import type { Pin } from '../../common/pin.js';
import type { ObjectStore } from '../../common/ports/object-store.js';
import { constructorArguments } from '../../wire/constructor-arguments.js';
import type { CreateOp, PinView } from '../../wire/gen/holdfast/v1/router.js';
import { checkedTags, storeArguments } from '../service/arguments.js';
import type { Request } from '../service/request.js';
import type { Making } from './activator.js';
import { instanceConflict, instanceLost } from './instance-errors.js';
import { type InstanceParts, reach, type Wish } from './resolve.js';
import { closeUnwanted, type UnwantedParts } from './unwanted.js';

export interface CreateParts extends InstanceParts, UnwantedParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly objects: ObjectStore;
}

/**
 * The instance of that id, made where there is none (S1); without an id, a fresh one.
 * @throws InstanceConflict, InstanceLost, NoCapacity, NotFound, PayloadTooLarge, what its worker refused it for
 */
export async function create(parts: CreateParts, op: CreateOp, request: Request): Promise<PinView> {
  const byName = op.id !== '';
  if (op.sharedByArgs && !byName)
    throw new HoldfastError('InvalidArgument', 'bind: the id, made of the arguments, is empty');
  const { clock, random } = parts;
  const id = byName ? op.id : ulid(clock.now(), () => random.next());
  const identity = checkedIdentity({ account: request.account, app: op.app, className: op.className, id });
  const { args, argsHash } = constructorArguments(op.args);
  const key = instanceKey(identity);
  const making: Making = {
    identity,
    key,
    args,
    argsHash,
    byName,
    tags: checkedTags(op.session?.tags ?? []),
    storeArgs: () => storeArguments(parts.objects, args),
  };
  const judge = op.args === undefined ? refuseLost : (pin: Pin | null) => refuseConflict(pin, argsHash);
  const wish = { key, identity, making, failedEpoch: null, judge };
  return byName ? await createNamed(parts, wish, request) : await createFresh(parts, wish, request);
}

/** Where names of its class are nearly all new, whoever asked for it may have further ones made by its worker (S13). */
async function createNamed(parts: CreateParts, wish: Wish, request: Request): Promise<PinView> {
  const pin = await reach(parts, wish, request);
  const view = await parts.views.of(pin, wish.key, request);
  const { identity, deployment, bootId } = pin;
  const isGranted = pin.state === 'placing' && pin.kind === 'class' && parts.newNames.areExpected(identity);
  if (!isGranted || bootId === null) return view;
  return { ...view, grant: await parts.views.grant(identity, { deployment, bootId }, request.role) };
}

/** Nobody but this request can know of it. */
async function createFresh(parts: CreateParts, wish: Wish, request: Request): Promise<PinView> {
  const { key, identity } = wish;
  let flight: Promise<unknown> = Promise.resolve();
  const onFlight = (result: Promise<unknown>): void => {
    flight = result;
  };
  try {
    const pin = await reach(parts, { ...wish, isFresh: true, onFlight }, request);
    const view = await parts.views.of(pin, key, request);
    // Whoever has left since does not get the answer.
    request.throwIfAborted();
    return view;
  } catch (error) {
    // Other errors are answers, and of what they left behind nothing runs.
    if (request.signal.aborted) void closeUnwanted(parts, { identity, flight }, request);
    throw error;
  }
}

function refuseConflict(pin: Pin | null, argsHash: string): void {
  // What is closing is over for newcomers: they wait for its end and make the id anew, with their own arguments.
  const isThere = pin !== null && pin.state !== 'closed' && pin.state !== 'closing';
  if (isThere && pin.argsHash !== argsHash) throw instanceConflict(pin, argsHash);
  refuseLost(pin);
}

function refuseLost(pin: Pin | null): void {
  if (pin?.state === 'lost') throw instanceLost(pin);
}
