import { ulid } from 'ulid';
import type { Clock, Random } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import { instanceKey } from '../../common/ids.js';
import type { Pin } from '../../common/pin.js';
import type { ObjectStore } from '../../common/ports/object-store.js';
import { encodeArgs, hashArgs } from '../../wire/codec/codec.js';
import type { CreateOp, PinView } from '../../wire/gen/holdfast/v1/router.js';
import { checkArguments, checkedTags, storeArguments } from '../service/arguments.js';
import type { Request } from '../service/request.js';
import type { Making } from './activator.js';
import { instanceConflict, instanceLost } from './instance-errors.js';
import { checkedIdentity } from './names.js';
import { type InstanceParts, reach, type Wish } from './resolve.js';
import { closeUnwanted, type UnwantedParts } from './unwanted.js';

export interface CreateParts extends InstanceParts, UnwantedParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly objects: ObjectStore;
}

const noArgs = Uint8Array.from(encodeArgs([]));
const hashOfNoArgs = hashArgs(noArgs);

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
  const given = op.args === undefined ? null : checkArguments(op.args);
  const args = given ?? noArgs;
  const argsHash = given === null ? hashOfNoArgs : hashArgs(given);
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
  const judge = given === null ? refuseLost : (pin: Pin | null) => refuseConflict(pin, argsHash);
  const wish = { key, identity, making, failedEpoch: null, judge };
  if (byName) return parts.views.of(await reach(parts, wish, request), key, request);
  return await createFresh(parts, wish, request);
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
