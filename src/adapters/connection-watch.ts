import type { Clock, Monotonic } from '../common/clock.js';

/** One of a pair: the connection to a server is lost, and some time later it is back. */
export type ConnectionChange =
  | { readonly phase: 'lost'; readonly server: string; readonly why: string }
  | { readonly phase: 'back'; readonly server: string; readonly awayMs: number };

/** Told of each pair once, however often a client redials in between. */
export type ConnectionListener = (change: ConnectionChange) => void;

/** Of one connection, which is there when this is made. */
export class ConnectionWatch {
  readonly #server: string;
  readonly #clock: Clock;
  readonly #onChange: ConnectionListener;
  #lostAt: Monotonic | null = null;

  /** @param server its url without credentials */
  constructor(server: string, clock: Clock, onChange: ConnectionListener) {
    this.#server = server;
    this.#clock = clock;
    this.#onChange = onChange;
  }

  lost(why: string): void {
    if (this.#lostAt !== null) return;
    this.#lostAt = this.#clock.monotonic();
    this.#onChange({ phase: 'lost', server: this.#server, why });
  }

  back(): void {
    if (this.#lostAt === null) return;
    const awayMs = Math.round(this.#clock.monotonic() - this.#lostAt);
    this.#lostAt = null;
    this.#onChange({ phase: 'back', server: this.#server, awayMs });
  }
}
