import type { Pin, PinChange, PinChangeResult } from '../../../src/common/pin.js';

interface Change {
  /** As it stood. */
  readonly before: Pin | null;
  readonly wanted: PinChange;
  readonly result: PinChangeResult;
}

/** What is wrong with a change of a pin, as the store answered it; null: nothing. */
export function brokenBy({ before, wanted, result }: Change): string | null {
  const { opId, expect } = wanted;
  const { applied, pin } = result;
  // S4: asked for again, as an answer was lost.
  if (before?.opId === opId) return applied ? null : `change ${opId} was made, and is said not to have been`;
  if (!applied) return null;
  const isSeen = expect === 'none' ? before === null : isSame(before, expect);
  if (!isSeen) return `${shown(pin)} was made of ${shown(before)}, whoever did so had seen ${shown(expect)}`;
  // S5
  const isElsewhere = before?.state === 'placing' && pin.epoch === before.epoch && pin.bootId !== before.bootId;
  return isElsewhere ? `${shown(pin)} is at ${pin.bootId}, it was placed at ${before.bootId}` : null;
}

type Seen = Pick<Pin, 'generation' | 'epoch' | 'state'>;

function isSame(pin: Pin | null, { generation, epoch, state }: Seen): boolean {
  return pin !== null && pin.generation === generation && pin.epoch === epoch && pin.state === state;
}

function shown(pin: Seen | 'none' | null): string {
  return pin === null || pin === 'none' ? 'nothing' : `${pin.state} at ${pin.epoch} of ${pin.generation}`;
}
