import type { Clock } from '../common/clock.js';
import type { Outcome } from '../common/errors.js';
import { busAway, noAnswer, requestCancelled } from './bus-errors.js';

interface Pending {
  resolve(answer: Uint8Array): void;
  reject(error: unknown): void;
}

/** Requests that wait for an answer: each ends at its answer, its deadline, its caller's abort, or the end of the connection. */
export class PendingRequests {
  readonly #clock: Clock;
  readonly #waiting = new Map<(error: unknown) => void, string>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @param send hands the request over; what it throws refuses the request */
  run(
    request: { readonly subject: string; readonly timeoutMs: number; readonly signal?: AbortSignal },
    send: (pending: Pending) => void,
  ): Promise<Uint8Array> {
    const { subject, timeoutMs, signal } = request;
    if (signal?.aborted) return Promise.reject(requestCancelled(subject, 'not-run', signal.reason));
    return new Promise((resolve, reject) => {
      const end = (): void => {
        timer.cancel();
        signal?.removeEventListener('abort', onAbort);
        this.#waiting.delete(fail);
      };
      const fail = (error: unknown): void => {
        end();
        reject(error);
      };
      const onAbort = (): void => fail(requestCancelled(subject, 'unknown', signal?.reason));
      const timer = this.#clock.after(timeoutMs, () => fail(noAnswer(subject, timeoutMs)));
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#waiting.set(fail, subject);
      const succeed = (answer: Uint8Array): void => {
        end();
        resolve(answer);
      };
      try {
        send({ resolve: succeed, reject: fail });
      } catch (error) {
        fail(error);
      }
    });
  }

  /** The connection is gone: an answer may never come. */
  failAll(outcome: Outcome): void {
    for (const [fail, subject] of [...this.#waiting]) fail(busAway(subject, outcome));
  }
}
