import type { HoldfastError } from '../../../common/errors.js';
import { type GuestAttempt, guestBroke, guestError } from './guest-errors.js';
import { GuestAnswer, type GuestField, type GuestRequest } from './guest-frames.js';
import type { GuestLink } from './guest-link.js';

export interface GuestCall<T> {
  readonly kind: GuestRequest;
  readonly fields: readonly GuestField[];
  readonly attempt: GuestAttempt;
  readonly signal?: AbortSignal | undefined;
  /** The answer, Ok or End. @throws Unavailable where it is malformed */
  read(body: Buffer): T;
}

/** A request with one answer. @throws what the guest answers, why the link ended, the signal's reason */
export function callGuest<T>(link: GuestLink, call: GuestCall<T>): Promise<T> {
  const { signal } = call;
  return new Promise<T>((resolve, reject) => {
    signal?.throwIfAborted();
    const settle = () => {
      signal?.removeEventListener('abort', onAbort);
      link.release(ref);
    };
    const ref = link.request(call.kind, call.fields, {
      onFrame: (kind, body) => {
        if (kind === GuestAnswer.Error) {
          settle();
          reject(guestError(call.attempt, body));
          return;
        }
        if (kind !== GuestAnswer.Ok && kind !== GuestAnswer.End) throw guestBroke(`a ${kind} as an answer`);
        const value = call.read(body);
        settle();
        resolve(value);
      },
      onLost: (error: HoldfastError) => {
        signal?.removeEventListener('abort', onAbort);
        reject(error);
      },
    });
    const onAbort = () => {
      link.abandon(ref);
      reject(signal?.reason);
    };
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/** For a call whose answer says nothing but that it is done. */
export function readNothing(): void {
  // What a later version may add is not for us.
}
