import { HoldfastError } from '../../common/errors.js';
import type { Epoch, Generation, InstanceKey } from '../../common/ids.js';
import type { Pin, PinChange } from '../../common/pin.js';
import { checkedOpId } from '../../wire/pin-record.js';

/** The pin that a change leaves behind once the store has given its generation and epoch. */
export function pinAfter(change: PinChange, given: { readonly generation: Generation; readonly epoch: Epoch }): Pin {
  // The fields first: a change may be made of a whole pin, whose epoch is the one before.
  return { ...change.fields, ...given, opId: change.opId, transitions: change.transitions };
}

/** Refuses a change that no store could apply. @throws InvalidArgument */
export function checkChange(key: InstanceKey, change: PinChange): void {
  checkedOpId(change.opId);
  if (change.expect === 'none' && (change.epoch === 'keep' || change.generation === 'keep'))
    throw refused(
      key,
      'a first activation has no epoch and no generation to keep: expected epoch `next`, generation `epoch`',
    );
  if (change.generation === 'epoch' && change.epoch === 'keep')
    throw refused(key, 'an id is remade at a new epoch only: expected epoch `next` with generation `epoch`');
  if (change.ttlMs !== null && !(Number.isInteger(change.ttlMs) && change.ttlMs > 0))
    throw refused(key, `ttlMs is ${change.ttlMs}: expected a positive integer or null`);
}

function refused(key: InstanceKey, why: string): HoldfastError {
  return new HoldfastError('InvalidArgument', `change of pin ${key}: ${why}`);
}
