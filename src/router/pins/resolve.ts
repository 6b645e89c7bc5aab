import { type Epoch, type Identity, type InstanceKey, instanceKey } from '../../common/ids.js';
import { checkedIdentity } from '../../common/names.js';
import type { Pin } from '../../common/pin.js';
import type { Handle, PinView, ResolveOp } from '../../wire/gen/holdfast/v1/router.js';
import type { Workers } from '../placement/workers.js';
import type { Request } from '../service/request.js';
import type { Making } from './activator.js';
import type { Flights } from './flights.js';
import { instanceGone, instanceLost } from './instance-errors.js';
import type { NewNames } from './new-names.js';
import type { PinViews } from './pin-views.js';
import type { Pins } from './pins.js';
import type { Settler } from './settle.js';

/** Parts that every operation on instances shares. */
export interface InstanceParts {
  readonly pins: Pins;
  readonly workers: Workers;
  readonly settler: Settler;
  readonly newNames: NewNames;
  readonly flights: Flights<Pin | null>;
  readonly views: PinViews;
}

/** What a request wants to reach, and whether it may have what stands. */
export interface Wish {
  readonly key: InstanceKey;
  readonly identity: Identity;
  readonly making: Making | null;
  readonly failedEpoch: Epoch | null;
  /** @throws where this pin is not what the request asked for */
  readonly judge: (pin: Pin | null) => void;
  /** The id was drawn for this request: there is no pin to read. */
  readonly isFresh?: boolean;
  /** Told of the work that is done for it, which may go on for a moment when the request is over. */
  readonly onFlight?: (result: Promise<unknown>) => void;
}

/**
 * A pin as wished: active, or just made, for the client to bring to its worker. Requests for one key share a flight, except that those whose epoch failed have one of their own:
 * theirs waits while others are answered.
 * @throws what `judge` throws, InstanceLost, NoCapacity, DeadlineExceeded
 */
export async function reach(parts: InstanceParts, wish: Wish, request: Request): Promise<Pin> {
  const { pins, workers, settler, flights, newNames } = parts;
  const { key, making, judge } = wish;
  const isUnread = !wish.isFresh && making !== null && newNames.areExpected(wish.identity);
  let seen = wish.isFresh || isUnread ? null : await pins.read(key, request);
  if (seen !== null && making !== null) newNames.saw(wish.identity, false);
  for (let from: Pin | null | 'unread' = isUnread ? 'unread' : seen; ; from = seen) {
    judge(seen);
    const failedEpoch = seen !== null && seen.epoch === wish.failedEpoch ? wish.failedEpoch : null;
    const isHere = seen?.state === 'active' && seen.bootId !== null && workers.isFresh(seen.bootId);
    if (seen !== null && isHere && failedEpoch === null) return seen;
    const start = from;
    const settled = await flights.join(`${key} ${failedEpoch ?? ''}`, request, (flight) => {
      const result = settler.settle({ key, making, failedEpoch }, start, flight);
      wish.onFlight?.(result);
      return result;
    });
    judge(settled);
    if (settled?.state === 'active' || settled?.state === 'placing') return settled;
    if (settled?.state === 'lost') throw instanceLost(settled);
    // Joined the flight of a request that does not make instances, and found none.
    seen = settled;
  }
}

/** Where a known instance is now; never makes one. @throws InstanceGone, InstanceLost */
export async function resolve(parts: InstanceParts, op: ResolveOp, request: Request): Promise<PinView> {
  const { account } = request;
  const identity = checkedIdentity({ account, app: op.app, className: op.className, id: op.id });
  return reachGeneration(parts, { identity, generation: op.generation, failedEpoch: op.failedEpoch || null }, request);
}

/** The instance of a handle that somebody kept. @throws PermissionDenied, InstanceGone, InstanceLost */
export async function attach(parts: InstanceParts, handle: Handle | undefined, request: Request): Promise<PinView> {
  const known = await parts.views.verify(handle, request);
  return reachGeneration(parts, { ...known, failedEpoch: null }, request);
}

async function reachGeneration(
  parts: InstanceParts,
  to: { readonly identity: Identity; readonly generation: number; readonly failedEpoch: Epoch | null },
  request: Request,
): Promise<PinView> {
  const { identity, generation, failedEpoch } = to;
  const judge = (pin: Pin | null): void => {
    if (pin === null || pin.state === 'closed' || pin.generation !== generation) {
      throw instanceGone(identity, generation, pin);
    }
    if (pin.state === 'lost') throw instanceLost(pin);
  };
  const key = instanceKey(identity);
  const pin = await reach(parts, { key, identity, making: null, failedEpoch, judge }, request);
  return parts.views.of(pin, key, request);
}
