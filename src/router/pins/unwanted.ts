import type { Logger } from '../../common/context.js';
import { HoldfastError, isHoldfastError } from '../../common/errors.js';
import { type Identity, instanceKey } from '../../common/ids.js';
import type { TimerWheel } from '../../common/timer-wheel.js';
import { OpenRequest, type Principal } from '../service/request.js';
import { type CloseParts, close } from './close.js';

export interface UnwantedParts extends CloseParts {
  readonly wheel: TimerWheel;
  readonly log: Logger;
  readonly closed: AbortSignal;
}

const closeWithinMs = 60_000;

/**
 * Closes an instance whose request was given up before it had an answer: its id was drawn for that request, and nobody else knows
 * it. Where this router dies meanwhile it stays. Never rejects.
 *
 * @param flight that made it: until its end it may still write
 */
export async function closeUnwanted(
  parts: UnwantedParts,
  { identity, flight }: { readonly identity: Identity; readonly flight: Promise<unknown> },
  principal: Principal,
): Promise<void> {
  const { app, className, id } = identity;
  await flight.catch(() => undefined); // its request is over, too
  if (parts.closed.aborted) return;
  const request = new OpenRequest(principal, closeWithinMs, parts);
  const giveUp = (): void => request.abort(new HoldfastError('Cancelled', 'the router was closed'));
  parts.closed.addEventListener('abort', giveUp, { once: true });
  try {
    await request.race(
      close(parts, { target: { $case: 'instance', value: { app, className, id } }, force: true }, request),
    );
  } catch (error) {
    const code = isHoldfastError(error) ? error.code : 'Internal';
    parts.log.warn('create.unwanted', { key: instanceKey(identity), code });
  } finally {
    parts.closed.removeEventListener('abort', giveUp);
    request.end();
  }
}
