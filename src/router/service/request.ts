import type { Clock, Monotonic } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import type { Role } from '../../common/ports/store.js';
import type { TimerWheel } from '../../common/timer-wheel.js';
import { Abort, type Abortable } from '../abort.js';

/** Who asks, as its token says. */
export interface Principal {
  readonly kind: 'client' | 'worker';
  readonly account: string;
  readonly role: Role;
}

/** What someone waits for right now; told when the deadline passes. */
export interface Waiting {
  what: string;
  /** The error that the deadline becomes, where it is known why there was no progress. */
  instead: HoldfastError | null;
}

/** One operation on its way through the router. */
export interface Request extends Principal, Abortable {
  readonly deadline: Monotonic;
  /** Replaced by whoever takes the request over. */
  waiting: Waiting;
  /** The promise's outcome, or the reason of its abort where that comes first: its deadline, a cancel, a broken stream. */
  race<T>(promise: Promise<T>): Promise<T>;
}

const defaultDeadlineMs = 60_000;
/** Nobody keeps a router busy for longer with one request. */
const maxDeadlineMs = 3_600_000;

/** A request that ends at its deadline; `end` frees its timer. */
export class OpenRequest implements Request {
  readonly kind: Principal['kind'];
  readonly account: string;
  readonly role: Role;
  readonly deadline: Monotonic;
  waiting: Waiting = { what: 'the store', instead: null };
  readonly #abort = new Abort();
  readonly #end: () => void;

  /** @param remainingMs 0: the default of 60 s; null: it has no deadline */
  constructor(
    principal: Principal,
    remainingMs: number | null,
    parts: { readonly clock: Clock; readonly wheel: TimerWheel },
  ) {
    const { clock, wheel } = parts;
    this.kind = principal.kind;
    this.account = principal.account;
    this.role = principal.role;
    if (remainingMs === null) {
      this.deadline = Infinity;
      this.#end = () => undefined;
      return;
    }
    const ms = Math.min(remainingMs > 0 ? remainingMs : defaultDeadlineMs, maxDeadlineMs);
    this.deadline = clock.monotonic() + ms;
    const entry = wheel.add(ms, () => this.abort(this.waiting.instead ?? deadlineExceeded(ms, this.waiting.what)));
    this.#end = () => wheel.remove(entry);
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  throwIfAborted(): void {
    this.#abort.throwIfAborted();
  }

  race<T>(promise: Promise<T>): Promise<T> {
    return this.#abort.race(promise);
  }

  abort(reason: HoldfastError): void {
    this.#end();
    this.#abort.abort(reason);
  }

  end(): void {
    this.#end();
  }
}

function deadlineExceeded(ms: number, what: string): HoldfastError {
  return new HoldfastError(
    'DeadlineExceeded',
    `no answer within ${Math.round(ms)} ms; at the deadline the router waited for ${what}`,
    {
      details: { waitedFor: what },
    },
  );
}
