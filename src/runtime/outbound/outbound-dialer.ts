import { connect, type Socket } from 'node:net';
import type { Clock } from '../../common/clock.js';
import { type AddressBytes, formatAddress, parseAddress } from './address.js';
import { isName, normalName, type OutboundPolicy } from './outbound-policy.js';
import type { RefusedAddresses } from './refused-addresses.js';

/** Why there is no connection. */
export type DialFailure =
  | { readonly why: 'refused'; readonly message: string }
  | { readonly why: 'unknown-host' | 'unreachable' | 'late'; readonly message: string };

type Found = { readonly addresses: readonly AddressBytes[] } | { readonly failure: DialFailure };

export type DialResult = { readonly socket: Socket } | { readonly failure: DialFailure };

export interface DialerParts {
  readonly policy: OutboundPolicy;
  readonly refused: RefusedAddresses;
  readonly clock: Clock;
  /** Without a byte in any direction a connection is destroyed. */
  readonly idleMs: number;
  /** Addresses of a name, those that are preferred first. */
  readonly resolve: (name: string) => Promise<readonly string[]>;
}

const connectTimeoutMs = 10_000;
const mostAddresses = 4;

/**
 * Connects on behalf of a sandbox.
 *
 * I1. A name is looked up once, here; what is checked is the address, and what is connected to is that very address. So a
 *     name that answers differently the second time gains nothing.
 */
export class OutboundDialer {
  readonly #parts: DialerParts;

  constructor(parts: DialerParts) {
    this.#parts = parts;
  }

  /** Never rejects. @param host a name or an address, as the program inside wrote it */
  async dial(host: string, port: number, signal: AbortSignal): Promise<DialResult> {
    if (!Number.isInteger(port) || port < 1 || port > 65_535) return refusal(`port ${port} is none`);
    const found = await this.#find(host);
    if ('failure' in found) return found;
    let result: DialResult = { failure: { why: 'unreachable', message: `${host} has no address` } };
    for (const address of found.addresses.slice(0, mostAddresses)) {
      result = await this.#connect(formatAddress(address), port, signal);
      if ('socket' in result || signal.aborted) return result;
    }
    return result;
  }

  /** The addresses that may be connected to (I1). */
  async #find(host: string): Promise<Found> {
    const { policy, refused } = this.#parts;
    const literal = parseAddress(host);
    if (literal === null && !isName(host)) return refusal(`${JSON.stringify(host.slice(0, 80))} is no host`);
    const isNamed = literal === null && policy.allowsName(host);
    const forbidden = refusal(`the network policy does not allow ${host}`);
    if (literal === null && !isNamed && !policy.looksUpOthers) return forbidden;
    const found = literal === null ? await this.#lookUp(host) : { addresses: [literal] };
    if ('failure' in found) return found;
    const allowed = found.addresses.filter((address) => isNamed || policy.allowsAddress(address));
    if (allowed.length === 0) return forbidden;
    await refused.refresh();
    const addresses = allowed.filter((address) => !refused.has(address));
    return addresses.length > 0 ? { addresses } : refusal(`${host} is an address that may not be reached from here`);
  }

  async #lookUp(host: string): Promise<Found> {
    try {
      const texts = await this.#parts.resolve(normalName(host));
      const addresses = texts.map(parseAddress).filter((address) => address !== null);
      if (addresses.length > 0) return { addresses };
      return { failure: { why: 'unknown-host', message: `${host} has no address` } };
    } catch (error) {
      const message = `${host} was not found: ${(error as NodeJS.ErrnoException).code}`;
      return { failure: { why: 'unknown-host', message } };
    }
  }

  #connect(host: string, port: number, signal: AbortSignal): Promise<DialResult> {
    return new Promise((resolve) => {
      const { clock, idleMs } = this.#parts;
      const socket = connect({ host, port, allowHalfOpen: true, noDelay: true });
      const settle = (result: DialResult): void => {
        timer.cancel();
        signal.removeEventListener('abort', onAbort);
        socket.removeListener('error', onError);
        if ('failure' in result) socket.on('error', () => undefined).destroy(); // told already
        resolve(result);
      };
      const fail = (why: 'late' | 'unreachable', message: string): void => settle({ failure: { why, message } });
      const onAbort = (): void => fail('unreachable', 'the sandbox hung up');
      const onError = (error: NodeJS.ErrnoException): void => fail('unreachable', `${error.code ?? error.message}`);
      const timer = clock.after(connectTimeoutMs, () => fail('late', `no answer in ${connectTimeoutMs} ms`));
      signal.addEventListener('abort', onAbort, { once: true });
      socket.once('error', onError);
      socket.once('connect', () => settle({ socket: socket.setTimeout(idleMs, () => socket.destroy()) }));
      if (signal.aborted) onAbort();
    });
  }
}

function refusal(message: string): { readonly failure: DialFailure } {
  return { failure: { why: 'refused', message } };
}
