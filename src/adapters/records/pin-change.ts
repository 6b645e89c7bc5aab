import { HoldfastError } from '../../common/errors.js';
import type { Epoch, Generation, InstanceKey } from '../../common/ids.js';
import type { Pin, PinChange } from '../../common/pin.js';
import { checkedOpId } from '../../wire/pin-record.js';

/** The pin that a change leaves behind once the store has given its generation and epoch. */
export function pinAfter(change: PinChange, given: { readonly generation: Generation; readonly epoch: Epoch }): Pin {
  const { fields, opId, transitions } = change;
  // Each by its name: what a spread brings V8 adds one by one.
  return {
    identity: fields.identity,
    kind: fields.kind,
    generation: given.generation,
    epoch: given.epoch,
    state: fields.state,
    workerId: fields.workerId,
    bootId: fields.bootId,
    address: fields.address,
    deployment: fields.deployment,
    args: fields.args,
    argsHash: fields.argsHash,
    tags: fields.tags,
    onLoss: fields.onLoss,
    opId,
    createdAtMs: fields.createdAtMs,
    restarts: fields.restarts,
    restarted: fields.restarted,
    isBrought: fields.isBrought,
    placement: fields.placement,
    transitions,
  };
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
