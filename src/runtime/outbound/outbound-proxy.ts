import type { Duplex } from 'node:stream';
import type { Clock } from '../../common/clock.js';
import { HostNames } from './host-names.js';
import { HttpProxy, type HttpTunnel } from './http-proxy.js';
import { OutboundDialer } from './outbound-dialer.js';
import { type Outbound, parseOutbound } from './outbound-policy.js';
import type { RefusedAddresses } from './refused-addresses.js';
import { acceptSocks, failSocks, readExactly, readSocksRequest, socksVersionByte } from './socks5.js';
import { splice } from './splice.js';

export interface OutboundProxiesOptions {
  readonly clock: Clock;
  readonly refused: RefusedAddresses;
  /** Addresses of a name. Default: by /etc/hosts and DNS. */
  readonly resolve?: (name: string) => Promise<readonly string[]>;
  /** Of one sandbox. Default 256. */
  readonly maxConnections?: number;
  /** Without a byte in any direction. Default 10 min. */
  readonly idleMs?: number;
}

const defaultMaxConnections = 256;
const defaultIdleMs = 600_000;
/** To say where it wants to go and to get there; and to read why it does not. */
const setupTimeoutMs = 60_000;

/** The way out for the sandboxes of a worker; see `NetworkPolicy`. */
export class OutboundProxies {
  readonly #options: OutboundProxiesOptions;
  readonly #http = new HttpProxy();
  readonly #resolve: (name: string) => Promise<readonly string[]>;

  constructor(options: OutboundProxiesOptions) {
    this.#options = options;
    const names = new HostNames(options.clock);
    this.#resolve = options.resolve ?? ((name) => names.addresses(name));
  }

  /** For one sandbox. @throws InvalidArgument */
  open(outbound: Outbound): OutboundProxy {
    const { clock, refused, maxConnections = defaultMaxConnections, idleMs = defaultIdleMs } = this.#options;
    const policy = parseOutbound(outbound);
    const dialer = new OutboundDialer({ policy, refused, clock, idleMs, resolve: this.#resolve });
    return new OutboundProxy({ http: this.#http, dialer, clock, maxConnections });
  }
}

interface ProxyParts {
  readonly http: HttpProxy;
  readonly dialer: OutboundDialer;
  readonly clock: Clock;
  readonly maxConnections: number;
}

/**
 * The way out of one sandbox: takes connections that were made to its proxy, as streams, and speaks HTTP and SOCKS5 on them.
 *
 * I1. Connections inside and outside are bounded in number and in the time in which nothing happens.
 * I2. No byte is read from one side that the other has no room for.
 */
export class OutboundProxy {
  readonly #parts: ProxyParts;
  readonly #over = new AbortController();
  readonly #clients = new Set<Duplex>();

  constructor(parts: ProxyParts) {
    this.#parts = parts;
  }

  get connections(): number {
    return this.#clients.size;
  }

  /** Above the bound, and after `close`, it is destroyed at once. */
  accept(client: Duplex): void {
    client.on('error', () => {
      // 'close' follows, and is what counts.
    });
    if (this.#clients.size >= this.#parts.maxConnections || this.#over.signal.aborted) {
      client.destroy();
      return;
    }
    this.#clients.add(client);
    const left = new AbortController();
    client.once('close', () => {
      this.#clients.delete(client);
      left.abort();
    });
    void this.#serve(client, left.signal);
  }

  /** Ends every connection. */
  close(): void {
    this.#over.abort();
    for (const client of this.#clients) client.destroy();
  }

  async #serve(client: Duplex, left: AbortSignal): Promise<void> {
    const late = this.#parts.clock.after(setupTimeoutMs, () => client.destroy());
    left.addEventListener('abort', () => late.cancel(), { once: true });
    const tunnel: HttpTunnel = {
      dial: async (host, port) => {
        const dialed = await this.#parts.dialer.dial(host, port, left);
        if ('socket' in dialed) late.cancel();
        return dialed;
      },
    };
    const first = await readExactly(client, 1);
    if (first === null) {
      client.destroy();
      return;
    }
    client.unshift(first);
    if (first[0] === socksVersionByte) await this.#serveSocks(client, tunnel);
    else this.#parts.http.accept(client, tunnel);
  }

  async #serveSocks(client: Duplex, tunnel: HttpTunnel): Promise<void> {
    const target = await readSocksRequest(client);
    const dialed = target === null ? null : await tunnel.dial(target.host, target.port);
    if (dialed !== null && 'socket' in dialed) {
      acceptSocks(client);
      splice(client, dialed.socket);
      return;
    }
    if (dialed !== null) failSocks(client, dialed.failure);
    client.end();
    // Its end must be read to be seen.
    client.resume();
  }
}
