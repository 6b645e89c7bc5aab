import type { Clock, Monotonic } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import { Abort, type Abortable } from '../abort.js';
import type { Request, Waiting } from '../service/request.js';

/** Work that several requests share; aborted when nobody waits for it any more. */
export interface Flight extends Abortable {
  readonly startedAt: Monotonic;
  readonly waiting: Waiting;
}

/** One that is under way, until it is abandoned. */
export class OpenFlight<T> implements Flight {
  readonly startedAt: Monotonic;
  readonly waiting: Waiting = { what: 'the store', instead: null };
  readonly result: Promise<T>;
  waiters = 0;
  hasLanded = false;
  readonly #abort = new Abort();

  constructor(startedAt: Monotonic, run: (flight: Flight) => Promise<T>) {
    this.startedAt = startedAt;
    this.result = run(this);
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  throwIfAborted(): void {
    this.#abort.throwIfAborted();
  }

  abandon(reason: HoldfastError): void {
    this.#abort.abort(reason);
  }
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
    request.throwIfAborted();
    const flight = this.#open.get(key) ?? this.#start(key, run);
    flight.waiters += 1;
    request.waiting = flight.waiting;
    try {
      return await request.race(flight.result);
    } finally {
      flight.waiters -= 1;
      if (flight.waiters === 0 && !flight.hasLanded) this.#abandon(key, flight);
    }
  }

  #start(key: string, run: (flight: Flight) => Promise<T>): OpenFlight<T> {
    const flight = new OpenFlight(this.#clock.monotonic(), run);
    this.#open.set(key, flight);
    const land = () => {
      flight.hasLanded = true;
      if (this.#open.get(key) === flight) this.#open.delete(key);
    };
    // Both ways, so that a failure with no waiter left is not an unhandled one.
    flight.result.then(land, land);
    return flight;
  }

  #abandon(key: string, flight: OpenFlight<T>): void {
    if (this.#open.get(key) === flight) this.#open.delete(key);
    flight.abandon(new HoldfastError('Cancelled', 'nobody waits for this any more'));
  }
}
