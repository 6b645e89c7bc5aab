import type { Clock, Monotonic } from '../common/clock.js';
import { HoldfastError } from '../common/errors.js';
import type { Request, Waiting } from './request.js';

/** Work that several requests share. */
export interface Flight {
  readonly startedAt: Monotonic;
  /** Aborted when nobody waits for it any more. */
  readonly signal: AbortSignal;
  readonly waiting: Waiting;
}

interface OpenFlight<T> {
  readonly result: Promise<T>;
  readonly controller: AbortController;
  readonly waiting: Waiting;
  waiters: number;
  hasLanded: boolean;
}

/**
 * One piece of work per key, whoever asks for it: later requests join the flight that is under way. Each leaves at its own
 * deadline; the flight goes on for as long as one waits, which is the longest deadline of its waiters.
 */
export class Flights<T> {
  readonly #clock: Clock;
  readonly #open = new Map<string, OpenFlight<T>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @throws what the flight throws, or the reason of the request's signal */
  async join(key: string, request: Request, run: (flight: Flight) => Promise<T>): Promise<T> {
    request.signal.throwIfAborted();
    const flight = this.#open.get(key) ?? this.#start(key, run);
    flight.waiters += 1;
    request.waiting = flight.waiting;
    try {
      return await beforeAbort(flight.result, request.signal);
    } finally {
      flight.waiters -= 1;
      if (flight.waiters === 0 && !flight.hasLanded) this.#abandon(key, flight);
    }
  }

  #start(key: string, run: (flight: Flight) => Promise<T>): OpenFlight<T> {
    const controller = new AbortController();
    const waiting: Waiting = { what: 'the store', instead: null };
    const result = run({ startedAt: this.#clock.monotonic(), signal: controller.signal, waiting });
    const flight: OpenFlight<T> = { result, controller, waiting, waiters: 0, hasLanded: false };
    this.#open.set(key, flight);
    const land = () => {
      flight.hasLanded = true;
      if (this.#open.get(key) === flight) this.#open.delete(key);
    };
    // Both ways, so that a failure with no waiter left is not an unhandled one.
    result.then(land, land);
    return flight;
  }

  #abandon(key: string, flight: OpenFlight<T>): void {
    if (this.#open.get(key) === flight) this.#open.delete(key);
    flight.controller.abort(new HoldfastError('Cancelled', 'nobody waits for this any more'));
  }
}

/** The promise's outcome, or the signal's reason where that comes first. */
export function beforeAbort<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
