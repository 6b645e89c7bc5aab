/**
 * Messages between routers and workers. At most once and never authority: a lost one costs time, never a promise. Subjects
 * are dot-separated tokens; a subscription may use `*` for one token and a final `>` for the rest.
 */
export interface Bus {
  /** Dropped while the bus is away: nothing piles up. */
  publish(subject: string, payload: Uint8Array): void;
  subscribe(subject: string, onMessage: (message: BusMessage) => void): BusSubscription;
  /**
   * One answer of one responder.
   * @throws Unavailable (outcome `not-run` where nobody listens or the bus is away, `unknown` after the timeout), Cancelled
   */
  request(
    subject: string,
    payload: Uint8Array,
    options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
  ): Promise<Uint8Array>;
  readonly isConnected: boolean;
  /** Ends subscriptions, sends what was published. */
  close(): Promise<void>;
}

export interface BusMessage {
  readonly subject: string;
  readonly payload: Uint8Array;
  /** Does nothing where the sender did not ask. */
  respond(payload: Uint8Array): void;
}

export interface BusSubscription {
  unsubscribe(): void;
}
