import { connect, createInbox, type Msg, type NatsConnection } from 'nats';
import type { Clock } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import type { Bus, BusMessage, BusSubscription } from '../../common/ports/bus.js';
import { type BusErrorListener, busAway, checkPayload, nobodyListens } from '../bus-errors.js';
import { type ConnectionListener, ConnectionWatch } from '../connection-watch.js';
import { withDeadline } from '../deadline.js';
import { PendingRequests } from '../pending-requests.js';
import { parseNatsUrl } from './url.js';

const pingEveryMs = 5_000;
const redialAfterMs = 250;
export const connectWithinMs = 3_000;
const closeWithinMs = 1_000;
const noRespondersStatus = 503;
/** Of a server that does not say. */
const defaultMaxPayloadBytes = 1_048_576;

/**
 * A bus on a NATS server or cluster that redials for ever. While it is away nothing is queued: messages are dropped and
 * requests fail.
 * @throws InvalidArgument for the url, Unavailable when no server answers
 */
export async function createNatsBus(options: {
  /** `nats://[user:password@]host:port[,host:port]`, `tls://` for TLS; `token@` for a token. */
  readonly url: string;
  /** What the server shows for this connection. */
  readonly name: string;
  readonly clock: Clock;
  readonly onError?: BusErrorListener;
  readonly onConnection?: ConnectionListener;
}): Promise<Bus> {
  const { url, name, clock, onError = () => undefined, onConnection = () => undefined } = options;
  const { shown, ...address } = parseNatsUrl(url);
  let connection: NatsConnection;
  try {
    connection = await connect({
      ...address,
      name,
      pingInterval: pingEveryMs,
      maxPingOut: 2,
      timeout: connectWithinMs,
      maxReconnectAttempts: -1,
      reconnectTimeWait: redialAfterMs,
      // Credentials that a server does not know yet, or no longer, are no reason to give up.
      ignoreAuthErrorAbort: true,
      noAsyncTraces: true,
    });
  } catch (cause) {
    throw natsAway(shown, cause);
  }
  return new NatsBus({ connection, clock, onError, watch: new ConnectionWatch(shown, clock, onConnection) });
}

/** @param shown the url without credentials */
export function natsAway(shown: string, cause: unknown): HoldfastError {
  const why = cause instanceof Error ? cause.message : String(cause);
  const advice = 'start it, or correct the url of the bus and its credentials';
  return new HoldfastError('Unavailable', `NATS at ${shown} cannot be reached (${why}): ${advice}`, { cause });
}

class NatsBus implements Bus {
  readonly #connection: NatsConnection;
  readonly #clock: Clock;
  readonly #onError: BusErrorListener;
  readonly #connectionWatch: ConnectionWatch;
  readonly #requests: PendingRequests;
  /** Answers come to this subject and the number of the request. */
  readonly #inbox = createInbox();
  readonly #answers = new Map<string, (message: Msg) => void>();
  #lastRequest = 0;
  #phase: 'connected' | 'away' | 'closed' = 'connected';

  constructor(parts: {
    readonly connection: NatsConnection;
    readonly clock: Clock;
    readonly onError: BusErrorListener;
    readonly watch: ConnectionWatch;
  }) {
    this.#connection = parts.connection;
    this.#clock = parts.clock;
    this.#onError = parts.onError;
    this.#connectionWatch = parts.watch;
    this.#requests = new PendingRequests(parts.clock);
    this.#listen(`${this.#inbox}.*`, (message) => this.#answers.get(message.subject)?.(message));
    void this.#watch();
  }

  get isConnected(): boolean {
    return this.#phase === 'connected';
  }

  publish(subject: string, payload: Uint8Array): void {
    this.#checkPayload(subject, payload);
    // The client keeps what it is given until the end of the tick.
    if (this.isConnected) this.#connection.publish(subject, new Uint8Array(payload));
  }

  subscribe(subject: string, onMessage: (message: BusMessage) => void): BusSubscription {
    if (this.#phase === 'closed') return { unsubscribe: () => undefined };
    return this.#listen(subject, (message) =>
      onMessage({
        subject: message.subject,
        payload: message.data,
        respond: (payload) => {
          if (message.reply !== undefined && message.reply !== '') this.publish(message.reply, payload);
        },
      }),
    );
  }

  async request(
    subject: string,
    payload: Uint8Array,
    options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
  ): Promise<Uint8Array> {
    this.#checkPayload(subject, payload);
    if (!this.isConnected) throw busAway(subject, 'not-run');
    this.#lastRequest += 1;
    const reply = `${this.#inbox}.${this.#lastRequest}`;
    try {
      return await this.#requests.run({ subject, ...options }, ({ resolve, reject }) => {
        this.#answers.set(reply, ({ data, headers }) => {
          if (data.length === 0 && headers?.code === noRespondersStatus) reject(nobodyListens(subject));
          else resolve(data);
        });
        this.#connection.publish(subject, new Uint8Array(payload), { reply });
      });
    } finally {
      this.#answers.delete(reply);
    }
  }

  async close(): Promise<void> {
    if (this.#phase === 'closed') return;
    const wasConnected = this.isConnected;
    this.#phase = 'closed';
    this.#requests.failAll('unknown');
    if (wasConnected) {
      const limit = { clock: this.#clock, timeoutMs: closeWithinMs, onTimeout: () => new Error('not flushed') };
      // Lost on the way out: a message may be lost at any time.
      await withDeadline(this.#connection.flush(), limit).catch(() => undefined);
    }
    await this.#connection.close();
  }

  #listen(subject: string, onMessage: (message: Msg) => void): BusSubscription {
    const subscription = this.#connection.subscribe(subject, {
      callback: (error, message) => {
        if (this.#phase === 'closed') return;
        // The client stops reading from the server when a callback throws.
        try {
          if (error) this.#onError(error, subject);
          else onMessage(message);
        } catch (thrown) {
          this.#onError(thrown, message.subject);
        }
      },
    });
    return { unsubscribe: () => subscription.unsubscribe() };
  }

  /** Ends with the connection. */
  async #watch(): Promise<void> {
    for await (const { type } of this.#connection.status()) {
      if (this.#phase === 'closed') return;
      if (type === 'reconnect') {
        this.#phase = 'connected';
        this.#connectionWatch.back();
      }
      if (type !== 'disconnect' && type !== 'close') continue;
      this.#phase = 'away';
      this.#requests.failAll('unknown');
      this.#connectionWatch.lost('it was closed, or two pings were not answered');
    }
  }

  #checkPayload(subject: string, payload: Uint8Array): void {
    checkPayload(subject, payload, this.#connection.info?.max_payload ?? defaultMaxPayloadBytes);
  }
}
