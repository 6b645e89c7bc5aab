import { type BusErrorListener, busAway, checkPayload, nobodyListens } from '../../../src/adapters/bus-errors.js';
import { subjectPattern } from '../../../src/adapters/embedded/subject-pattern.js';
import { PendingRequests } from '../../../src/adapters/pending-requests.js';
import type { Bus, BusMessage, BusSubscription } from '../../../src/common/ports/bus.js';
import type { SimProcess } from '../engine/sim-process.js';
import type { Network } from './network.js';

const maxPayloadBytes = 1_048_576;
/** A client's pings to a server that is away or cut off. */
const noticedWithin = { fromMs: 500, toMs: 6_000 };
const redialWithinMs = 2_000;

interface Subscription {
  readonly owner: BusConnection;
  readonly matches: (subject: string) => boolean;
  readonly onMessage: (message: BusMessage) => void;
}

/** The bus server: a process like others. Messages of one publisher to one subscriber keep their order, unless the plan says otherwise. */
export class BusServer {
  readonly process: SimProcess;
  readonly network: Network;
  readonly reorders: boolean;
  readonly onError: BusErrorListener;
  readonly subscriptions = new Set<Subscription>();
  readonly connections = new Set<BusConnection>();

  constructor(parts: {
    readonly process: SimProcess;
    readonly network: Network;
    readonly reorders: boolean;
    readonly onError: BusErrorListener;
  }) {
    this.process = parts.process;
    this.network = parts.network;
    this.reorders = parts.reorders;
    this.onError = parts.onError;
  }

  connect(process: SimProcess): Bus {
    const connection = new BusConnection(this, process);
    this.connections.add(connection);
    process.onDeath(() => connection.forget());
    return connection;
  }

  /** A link to it was cut, or it stopped: each client notices in its own time, if it lasts. */
  disturbed(): void {
    for (const connection of this.connections) connection.noticeLater();
  }
}

class BusConnection implements Bus {
  readonly #server: BusServer;
  readonly #process: SimProcess;
  readonly #requests: PendingRequests;
  #phase: 'connected' | 'away' | 'closed' = 'connected';
  /** Last arrival in each direction: to the server, from the server. */
  readonly #lastArrival = { up: 0, down: 0 };

  constructor(server: BusServer, process: SimProcess) {
    this.#server = server;
    this.#process = process;
    this.#requests = new PendingRequests(process.clock);
  }

  get isConnected(): boolean {
    return this.#phase === 'connected';
  }

  publish(subject: string, payload: Uint8Array): void {
    checkPayload(subject, payload, maxPayloadBytes);
    if (!this.isConnected) return;
    const sent = new Uint8Array(payload);
    this.#up(() => this.#route({ subject, payload: sent, respond: () => undefined }));
  }

  subscribe(subject: string, onMessage: (message: BusMessage) => void): BusSubscription {
    const { subscriptions } = this.#server;
    const subscription: Subscription = { owner: this, matches: subjectPattern(subject), onMessage };
    if (this.#phase !== 'closed') subscriptions.add(subscription);
    return { unsubscribe: () => void subscriptions.delete(subscription) };
  }

  async request(
    subject: string,
    payload: Uint8Array,
    options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
  ): Promise<Uint8Array> {
    checkPayload(subject, payload, maxPayloadBytes);
    if (!this.isConnected) throw busAway(subject, 'not-run');
    const sent = new Uint8Array(payload);
    return this.#requests.run({ subject, ...options }, ({ resolve, reject }) => {
      const respond = (answer: Uint8Array): void => this.#down(() => resolve(answer));
      this.#up(() => {
        if (!this.#route({ subject, payload: sent, respond })) this.#down(() => reject(nobodyListens(subject)));
      });
    });
  }

  async close(): Promise<void> {
    this.forget();
    this.#requests.failAll('unknown');
  }

  forget(): void {
    this.#phase = 'closed';
    const { subscriptions, connections } = this.#server;
    connections.delete(this);
    for (const subscription of subscriptions) if (subscription.owner === this) subscriptions.delete(subscription);
  }

  noticeLater(): void {
    const { random } = this.#process;
    this.#process.in(random.between(noticedWithin.fromMs, noticedWithin.toMs), () => {
      if (this.#phase !== 'connected' || this.#isReachable()) return;
      this.#phase = 'away';
      this.#requests.failAll('unknown');
      this.#redial();
    });
  }

  #redial(): void {
    this.#process.in(this.#process.random.next() * redialWithinMs, () => {
      if (this.#phase !== 'away') return;
      if (!this.#isReachable()) return this.#redial();
      this.#phase = 'connected';
    });
  }

  #isReachable(): boolean {
    const { network, process } = this.#server;
    const { host } = this.#process;
    return !process.isStopped && !network.isCut(host, process.host) && !network.isCut(process.host, host);
  }

  /** At the server. False: nobody listens. */
  #route(message: BusMessage): boolean {
    let isHeard = false;
    for (const subscription of this.#server.subscriptions) {
      if (!subscription.matches(message.subject)) continue;
      isHeard = true;
      subscription.owner.#down(() => subscription.owner.#hear(subscription, message));
    }
    return isHeard;
  }

  #hear({ onMessage }: Subscription, message: BusMessage): void {
    const respond = (payload: Uint8Array): void => {
      checkPayload(message.subject, payload, maxPayloadBytes);
      const answer = new Uint8Array(payload);
      if (this.isConnected) this.#up(() => message.respond(answer));
    };
    try {
      onMessage({ subject: message.subject, payload: new Uint8Array(message.payload), respond });
    } catch (error) {
      this.#server.onError(error, message.subject);
    }
  }

  #up(atServer: () => void): void {
    const { network, process } = this.#server;
    if (network.isLost(this.#process.host, process.host)) return;
    process.in(this.#inMs('up'), atServer);
  }

  #down(here: () => void): void {
    const { network, process } = this.#server;
    if (network.isLost(process.host, this.#process.host)) return;
    this.#process.in(this.#inMs('down'), () => {
      if (this.isConnected) here();
    });
  }

  #inMs(direction: 'up' | 'down'): number {
    const { network, process, reorders } = this.#server;
    const [from, to] = direction === 'up' ? [this.#process.host, process.host] : [process.host, this.#process.host];
    const { now } = network.timeline;
    const arrivesAt = now + network.latencyMs(from, to);
    if (reorders) return arrivesAt - now;
    this.#lastArrival[direction] = Math.max(arrivesAt, this.#lastArrival[direction]);
    return this.#lastArrival[direction] - now;
  }
}
