import { Resolver } from 'node:dns/promises';
import { readFile } from 'node:fs/promises';
import type { Clock, Monotonic } from '../../common/clock.js';
import { normalName } from './outbound-policy.js';

const hostsFile = '/etc/hosts';
const refreshMs = 10_000;
const queryTimeoutMs = 3_000;
const queryTries = 2;

/**
 * Addresses of names, by /etc/hosts and DNS. Not by getaddrinfo: that waits in one of the few threads that the worker's files
 * need too, and whose server answers slowly is up to the sandbox.
 */
export class HostNames {
  readonly #clock: Clock;
  readonly #resolver = new Resolver({ timeout: queryTimeoutMs, tries: queryTries });
  #hosts: ReadonlyMap<string, readonly string[]> = new Map();
  #freshUntil: Monotonic = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** IPv4 first: not every host that has names in IPv6 has a way there. @throws Error of DNS */
  async addresses(name: string): Promise<readonly string[]> {
    await this.#refresh();
    const known = this.#hosts.get(name);
    if (known !== undefined) return known;
    const [ipv4, ipv6] = await Promise.allSettled([this.#resolver.resolve4(name), this.#resolver.resolve6(name)]);
    const found = [ipv4, ipv6].flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []));
    if (found.length === 0 && ipv4.status === 'rejected') throw ipv4.reason;
    return found;
  }

  async #refresh(): Promise<void> {
    if (this.#clock.monotonic() < this.#freshUntil) return;
    this.#freshUntil = this.#clock.monotonic() + refreshMs;
    this.#hosts = parseHosts(await readFile(hostsFile, 'utf8').catch(() => '')); // a host without one
  }
}

/** Lines of an address and its names, as hosts(5) says. */
export function parseHosts(text: string): Map<string, string[]> {
  const hosts = new Map<string, string[]>();
  for (const line of text.split('\n')) {
    const [address = '', ...names] = line.replace(/#.*/, '').trim().split(/\s+/);
    for (const name of names.map(normalName)) hosts.set(name, [...(hosts.get(name) ?? []), address]);
  }
  return hosts;
}
