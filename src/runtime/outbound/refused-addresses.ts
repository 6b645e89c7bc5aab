import { lookup } from 'node:dns/promises';
import { networkInterfaces } from 'node:os';
import type { Clock, Monotonic } from '../../common/clock.js';
import { type AddressBytes, type Cidr, isInCidr, parseAddress, parseCidr } from './address.js';

/** Never reached, whatever a policy says: this host by any name, its links, and what answers questions about the machine. */
const always = [
  '0.0.0.0/8',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '224.0.0.0/4',
  '240.0.0.0/4',
  // Metadata services outside the link-local range: Oracle, Alibaba, AWS on IPv6.
  '192.0.0.0/24',
  '100.100.100.200/32',
  'fd00:ec2::254/128',
  '::/128',
  '::1/128',
  'fe80::/10',
  'fec0::/10',
  'ff00::/8',
  // Teredo and the local translators hide an IPv4 address.
  '2001::/32',
  '64:ff9b:1::/48',
].map((text) => parseCidr(text) as Cidr);

/** Interfaces and names of the infrastructure change seldom, and looking takes a while. */
const refreshMs = 10_000;
const maxNames = 256;

/** What no sandbox of a worker may reach. */
export class RefusedAddresses {
  readonly #clock: Clock;
  readonly #infrastructure: () => readonly string[];
  #ranges: readonly Cidr[] = [];
  #own: ReadonlySet<string> = new Set();
  #behindNames: ReadonlySet<string> = new Set();
  #freshUntil: Monotonic = Number.NEGATIVE_INFINITY;
  #refreshing: Promise<void> | null = null;

  /** @param infrastructure host names, addresses and CIDR ranges of routers, NATS and Redis, as far as they are known now */
  constructor(clock: Clock, infrastructure: () => readonly string[]) {
    this.#clock = clock;
    this.#infrastructure = infrastructure;
  }

  /** Before `has`, which then answers by what is known now. */
  async refresh(): Promise<void> {
    if (this.#clock.monotonic() < this.#freshUntil) return;
    this.#refreshing ??= this.#look().finally(() => {
      this.#refreshing = null;
    });
    await this.#refreshing;
  }

  has(address: AddressBytes): boolean {
    if ([...always, ...this.#ranges].some((range) => isInCidr(address, range))) return true;
    const key = address.join('.');
    return this.#own.has(key) || this.#behindNames.has(key);
  }

  async #look(): Promise<void> {
    const interfaces = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
    this.#own = keysOf(interfaces.map(({ address }) => address));
    const infrastructure = this.#infrastructure();
    this.#ranges = infrastructure.map(parseCidr).filter((range) => range !== null);
    const names = infrastructure.filter((entry) => parseCidr(entry) === null).slice(0, maxNames);
    const found = await Promise.all(
      names.map((name) => lookup(name, { all: true, verbatim: true }).catch(() => null)), // cannot be reached now
    );
    const known = keysOf(found.flatMap((addresses) => (addresses ?? []).map(({ address }) => address)));
    // A name that cannot be looked up now keeps what is known of it.
    const keepsOld = found.includes(null);
    this.#behindNames = keepsOld ? new Set([...this.#behindNames, ...known]) : known;
    this.#freshUntil = this.#clock.monotonic() + refreshMs;
  }
}

function keysOf(addresses: readonly string[]): Set<string> {
  return new Set(addresses.map((address) => parseAddress(address)?.join('.') ?? ''));
}
