import type { Clock } from '../../common/clock.js';
import type { Bus, BusMessage, BusSubscription } from '../../common/ports/bus.js';
import { type BusErrorListener, busAway, checkPayload, nobodyListens } from '../bus-errors.js';
import { PendingRequests } from '../pending-requests.js';
import { subjectPattern } from './subject-pattern.js';

/** NATS' default, so that what works embedded works on a server. */
const defaultMaxPayloadBytes = 1_048_576;
/** Messages that wait for the next turn of the event loop; more are dropped, as a server drops those of a slow reader. */
const mostQueued = 65_536;

/** The bus of one process: every part connects to the hub, and loses only its own connection. */
export interface BusHub {
  connect(): InProcessBus;
}

export interface InProcessBus extends Bus {
  /** As if the network were gone for this connection alone. */
  cut(): void;
  /** Its subscriptions go on; what was published meanwhile is lost. */
  restore(): void;
}

interface Subscription {
  readonly owner: Connection;
  readonly matches: (subject: string) => boolean;
  readonly onMessage: (message: BusMessage) => void;
}

interface Hub {
  readonly clock: Clock;
  readonly maxPayloadBytes: number;
  readonly onError: BusErrorListener;
  readonly subscriptions: Set<Subscription>;
  /** False: the queue is full. */
  enqueue(deliver: () => void): boolean;
}

export function createBusHub(options: {
  readonly clock: Clock;
  readonly maxPayloadBytes?: number;
  readonly onError?: BusErrorListener;
}): BusHub {
  const { clock, maxPayloadBytes = defaultMaxPayloadBytes, onError = () => undefined } = options;
  let queue: (() => void)[] = [];
  const deliverAll = (): void => {
    const batch = queue;
    queue = [];
    for (const deliver of batch) deliver();
  };
  const hub: Hub = {
    clock,
    maxPayloadBytes,
    onError,
    subscriptions: new Set(),
    enqueue: (deliver) => {
      if (queue.length >= mostQueued) return false;
      if (queue.length === 0) setImmediate(deliverAll);
      queue.push(deliver);
      return true;
    },
  };
  return { connect: () => new Connection(hub) };
}

class Connection implements InProcessBus {
  readonly #hub: Hub;
  readonly #requests: PendingRequests;
  #phase: 'connected' | 'cut' | 'closed' = 'connected';

  constructor(hub: Hub) {
    this.#hub = hub;
    this.#requests = new PendingRequests(hub.clock);
  }

  get isConnected(): boolean {
    return this.#phase === 'connected';
  }

  publish(subject: string, payload: Uint8Array): void {
    checkPayload(subject, payload, this.#hub.maxPayloadBytes);
    if (!this.isConnected) return;
    const message = { subject, payload: new Uint8Array(payload), respond: () => undefined };
    this.#hub.enqueue(() => this.#deliver(message));
  }

  subscribe(subject: string, onMessage: (message: BusMessage) => void): BusSubscription {
    const subscription: Subscription = { owner: this, matches: subjectPattern(subject), onMessage };
    if (this.#phase !== 'closed') this.#hub.subscriptions.add(subscription);
    return { unsubscribe: () => void this.#hub.subscriptions.delete(subscription) };
  }

  async request(
    subject: string,
    payload: Uint8Array,
    options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
  ): Promise<Uint8Array> {
    checkPayload(subject, payload, this.#hub.maxPayloadBytes);
    if (!this.isConnected) throw busAway(subject, 'not-run');
    const sent = new Uint8Array(payload);
    return this.#requests.run({ subject, ...options }, ({ resolve, reject }) => {
      const isQueued = this.#hub.enqueue(() => {
        const answer = (bytes: Uint8Array): void => void (this.isConnected && resolve(bytes));
        if (!this.#deliver({ subject, payload: sent, respond: answer })) reject(nobodyListens(subject));
      });
      if (!isQueued) reject(busAway(subject, 'not-run'));
    });
  }

  cut(): void {
    if (this.#phase !== 'connected') return;
    this.#phase = 'cut';
    this.#requests.failAll('unknown');
  }

  restore(): void {
    if (this.#phase === 'cut') this.#phase = 'connected';
  }

  async close(): Promise<void> {
    if (this.#phase === 'closed') return;
    // What was published before is in the queue already.
    this.#phase = 'closed';
    for (const subscription of this.#hub.subscriptions)
      if (subscription.owner === this) this.#hub.subscriptions.delete(subscription);
    this.#requests.failAll('unknown');
  }

  /** False: nobody listens. */
  #deliver(message: BusMessage): boolean {
    const { subscriptions, onError } = this.#hub;
    let isHeard = false;
    for (const { owner, matches, onMessage } of [...subscriptions]) {
      if (!owner.isConnected || !matches(message.subject)) continue;
      isHeard = true;
      try {
        onMessage({ ...message, respond: (payload) => owner.#respond(message, payload) });
      } catch (error) {
        onError(error, message.subject);
      }
    }
    return isHeard;
  }

  #respond(message: BusMessage, payload: Uint8Array): void {
    checkPayload(message.subject, payload, this.#hub.maxPayloadBytes);
    if (!this.isConnected) return;
    const answer = new Uint8Array(payload);
    this.#hub.enqueue(() => message.respond(answer));
  }
}
