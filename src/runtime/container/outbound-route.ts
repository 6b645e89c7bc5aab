import { once } from 'node:events';
import { connect, createServer, isIP, type Server, Socket, type TcpSocketConnectOpts } from 'node:net';
import { acceptedBySocks, socksRequest } from '../outbound/socks5-client.js';
import { splice } from '../outbound/splice.js';

/** Where an isolated container finds the socket of its worker's proxy. */
export const outboundSocketPath = '/run/holdfast-outbound.sock';

type Lookup = NonNullable<TcpSocketConnectOpts['lookup']>;
type ConnectArguments = Parameters<Socket['connect']>;

/** Of 127.0.0.0/8, all of which is this container's own: each connection that is made has one for itself. */
const firstAddress = 0x7f_01_00_00;
const addresses = 0x00_fe_00_00;

/**
 * Lets code of an isolated container, which has no network but loopback, connect as if it had one: a TCP connection to
 * another host goes to a server in this process, on a loopback address that stands for that one connection, and from there
 * through the worker's proxy. All of it on `net.Socket`, so that TLS, HTTP, fetch and clients of databases need nothing.
 *
 * R1. A connection is made outside before it is made inside: who cannot be reached is an error of `connect`.
 * R2. What is not claimed inside, because its socket was destroyed meanwhile, is closed.
 *
 * @returns the port on which the proxy itself answers on 127.0.0.1, for programs that this process starts
 */
export async function routeOutbound(): Promise<number> {
  const route = new OutboundRoute();
  const port = await route.listen();
  const connectDirectly = Socket.prototype.connect;
  Socket.prototype.connect = function (this: Socket, ...args: unknown[]): Socket {
    return connectDirectly.apply(this, redirected(args, route, port) as ConnectArguments);
  };
  return port;
}

class OutboundRoute {
  /** Made outside, not yet claimed inside; by loopback address. */
  readonly #waiting = new Map<string, Socket>();
  readonly #server: Server;
  #made = 0;

  constructor() {
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (inside) => this.#onConnection(inside));
    // It must not keep a container alive.
    this.#server.unref();
  }

  async listen(): Promise<number> {
    this.#server.listen(0, '0.0.0.0');
    await once(this.#server, 'listening');
    return (this.#server.address() as { readonly port: number }).port;
  }

  /** A loopback address for a connection that is made outside now (R1). */
  async dial(host: string, port: number): Promise<string> {
    const outside = connect({ path: outboundSocketPath, allowHalfOpen: true });
    outside.on('error', () => {
      // 'close' follows, and is what counts.
    });
    outside.write(socksRequest(host, port));
    const refusal = await acceptedBySocks(outside);
    if (refusal !== null) {
      outside.destroy();
      throw Object.assign(new Error(`connect ${refusal.code} ${host}:${port}: ${refusal.why}`), {
        code: refusal.code,
        syscall: 'connect',
        address: host,
        port,
      });
    }
    const address = this.#newAddress();
    this.#waiting.set(address, outside);
    outside.once('close', () => this.#waiting.delete(address));
    return address;
  }

  /** R2. */
  release(address: string): void {
    this.#waiting.get(address)?.destroy();
  }

  #onConnection(inside: Socket): void {
    const address = inside.localAddress ?? '';
    const claimed = this.#waiting.get(address);
    this.#waiting.delete(address);
    // No address of a connection: it wants to speak with the proxy itself.
    splice(inside, claimed ?? connect({ path: outboundSocketPath, allowHalfOpen: true }));
  }

  #newAddress(): string {
    this.#made = (this.#made + 1) % addresses;
    const address = firstAddress + this.#made;
    return [24, 16, 8, 0].map((shift) => (address >>> shift) & 0xff).join('.');
  }
}

/** The arguments of `connect`, with another host where that leaves the container. */
function redirected(args: unknown[], route: OutboundRoute, port: number): unknown[] {
  // Node's own callers pass options and listener as one list, marked as such.
  const list = Array.isArray(args[0]) ? (args[0] as unknown[]) : args;
  const options = optionsOf(list);
  if (options === null || isInside(options.host ?? 'localhost')) return args;
  const listener = list.find((arg) => typeof arg === 'function');
  const { host = '', port: outsidePort } = options;
  const lookup: Lookup = (_name, asked, answer) => {
    const isAll = typeof asked === 'object' && asked.all === true;
    route.dial(host, Number(outsidePort)).then(
      (address) => (isAll ? answer(null, [{ address, family: 4 }]) : answer(null, address, 4)),
      (error: NodeJS.ErrnoException) => answer(error, '', 4),
    );
  };
  const rest = { ...options, autoSelectFamily: false, family: 4, localAddress: undefined, localPort: undefined };
  const changed = { ...rest, host: nameOfOutside, port, lookup };
  if (list !== args) {
    list[0] = changed;
    return args;
  }
  return listener === undefined ? [changed] : [changed, listener];
}

/** Never looked up; an address would not be given to `lookup` at all. */
const nameOfOutside = 'outside.invalid';

/** Null: not a TCP connection. */
function optionsOf(list: readonly unknown[]): TcpSocketConnectOpts | null {
  const [first, second] = list;
  if (typeof first === 'object' && first !== null)
    return 'path' in first && first.path ? null : (first as TcpSocketConnectOpts);
  const isPort = typeof first === 'number' || (typeof first === 'string' && /^\d+$/.test(first));
  if (!isPort) return null;
  return { port: Number(first), ...(typeof second === 'string' ? { host: second } : {}) };
}

function isInside(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}
