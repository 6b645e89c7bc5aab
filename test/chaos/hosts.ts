import { execFileSync, spawnSync } from 'node:child_process';

const net = '10.213.7';
/** A neighbour that does not exist: what is sent there is lost, and nobody is told. */
const nowhere = '02:00:00:00:00:99';

let made = 0;

/** Hosts of one machine: network namespaces on a bridge, whose links can be cut. Needs root and `ip`. */
export class Hosts {
  readonly #names: readonly string[];
  readonly #bridge: string;
  /** `from>to` of the cuts. */
  readonly #cuts = new Set<string>();

  /** @throws where this process may not make namespaces */
  constructor(count: number) {
    // The links of a namespace that was removed keep their names for a moment.
    made += 1;
    const prefix = `hf${process.pid % 100_000}x${made % 100}`;
    this.#bridge = `${prefix}br`;
    this.#names = Array.from({ length: count }, (_, i) => `${prefix}h${i + 1}`);
    try {
      this.#make();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  #make(): void {
    ip('link', 'add', this.#bridge, 'type', 'bridge');
    ip('addr', 'add', `${net}.254/24`, 'dev', this.#bridge);
    ip('link', 'set', this.#bridge, 'up');
    for (const [i, name] of this.#names.entries()) {
      ip('netns', 'add', name);
      ip('link', 'add', `${name}v`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name);
      ip('link', 'set', `${name}v`, 'master', this.#bridge, 'up');
      ip('-n', name, 'addr', 'add', `${this.address(i + 1)}/24`, 'dev', 'eth0');
      ip('-n', name, 'link', 'set', 'eth0', 'up');
      ip('-n', name, 'link', 'set', 'lo', 'up');
    }
  }

  /** @param host from 1; 0: this process's side of the bridge */
  address(host: number): string {
    return host === 0 ? `${net}.254` : `${net}.${host}`;
  }

  /** A command as it is run on a host. */
  on(host: number, command: readonly string[]): string[] {
    return ['ip', 'netns', 'exec', this.#nameOf(host), ...command];
  }

  /** Nothing that `from` sends reaches `to` any more, until it is healed. */
  cut(from: number, to: number): void {
    this.#cuts.add(`${from}>${to}`);
    ip(
      ...this.#in(from),
      'neigh',
      'replace',
      this.address(to),
      'lladdr',
      nowhere,
      'nud',
      'permanent',
      ...this.#dev(from),
    );
  }

  heal(from: number, to: number): void {
    if (!this.#cuts.delete(`${from}>${to}`)) return;
    ip(...this.#in(from), 'neigh', 'del', this.address(to), ...this.#dev(from));
  }

  isolate(host: number): void {
    ip('link', 'set', `${this.#nameOf(host)}v`, 'down');
  }

  rejoin(host: number): void {
    ip('link', 'set', `${this.#nameOf(host)}v`, 'up');
  }

  /** What was not made, or is gone already, is no trouble. */
  close(): void {
    const removals = [...this.#names.map((name) => ['netns', 'del', name]), ['link', 'del', this.#bridge]];
    for (const removal of removals) spawnSync('ip', removal);
  }

  #nameOf(host: number): string {
    const name = this.#names[host - 1];
    if (name === undefined) throw new Error(`there is no host ${host}`);
    return name;
  }

  #in(host: number): string[] {
    return host === 0 ? [] : ['-n', this.#nameOf(host)];
  }

  #dev(host: number): string[] {
    return ['dev', host === 0 ? this.#bridge : 'eth0'];
  }
}

function ip(...args: readonly string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}
