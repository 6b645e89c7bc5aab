import { execFileSync, spawnSync } from 'node:child_process';

const net = '10.213.7';
/** A neighbour that does not exist: what is sent there is lost, and nobody is told. */
const nowhere = '02:00:00:00:00:99';

let made = 0;

/** The side of the bridge that this process is on, with its clients. */
export const here = 'here';

/** Hosts of one machine: network namespaces on a bridge, whose links can be cut. Needs root and `ip`. */
export class Hosts {
  readonly #prefix: string;
  readonly #bridge: string;
  /** In the order in which they were made, which gives their addresses. */
  readonly #names: string[] = [];
  /** `from>to` of the cuts. */
  readonly #cuts = new Set<string>();

  /** @throws where this process may not make namespaces */
  constructor() {
    // The links of a namespace that was removed keep their names for a moment.
    made += 1;
    this.#prefix = `hf${process.pid % 100_000}x${made % 100}`;
    this.#bridge = `${this.#prefix}br`;
    try {
      ip('link', 'add', this.#bridge, 'type', 'bridge');
      ip('addr', 'add', `${net}.254/24`, 'dev', this.#bridge);
      ip('link', 'set', this.#bridge, 'up');
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Makes one more. Gives its address. */
  add(name: string): string {
    this.#names.push(name);
    const space = this.#spaceOf(name);
    ip('netns', 'add', space);
    ip('link', 'add', `${space}v`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', space);
    ip('link', 'set', `${space}v`, 'master', this.#bridge, 'up');
    ip('-n', space, 'addr', 'add', `${this.#addressOf(name)}/24`, 'dev', 'eth0');
    ip('-n', space, 'link', 'set', 'eth0', 'up');
    ip('-n', space, 'link', 'set', 'lo', 'up');
    return this.#addressOf(name);
  }

  /** A command as it is run on a host. */
  on(host: string, command: readonly string[]): string[] {
    return ['ip', 'netns', 'exec', this.#spaceOf(host), ...command];
  }

  /** Those whose name begins with one of these. */
  named(...prefixes: readonly string[]): string[] {
    return this.#names.filter((name) => prefixes.some((prefix) => name.startsWith(prefix)));
  }

  /** Nothing that `from` sends reaches `to` any more, until it is healed. */
  cut(from: string, to: string): void {
    this.#cuts.add(`${from}>${to}`);
    const neighbour = ['neigh', 'replace', this.#addressOf(to), 'lladdr', nowhere, 'nud', 'permanent'];
    ip(...this.#in(from), ...neighbour, ...this.#dev(from));
  }

  /** Every cut there is. */
  heal(): void {
    for (const cut of this.#cuts) {
      const [from = '', to = ''] = cut.split('>');
      ip(...this.#in(from), 'neigh', 'del', this.#addressOf(to), ...this.#dev(from));
    }
    this.#cuts.clear();
  }

  isolate(host: string): void {
    ip('link', 'set', `${this.#spaceOf(host)}v`, 'down');
  }

  rejoin(host: string): void {
    ip('link', 'set', `${this.#spaceOf(host)}v`, 'up');
  }

  /** What was not made, or is gone already, is no trouble. */
  close(): void {
    const removals = [
      ...this.#names.map((name) => ['netns', 'del', this.#spaceOf(name)]),
      ['link', 'del', this.#bridge],
    ];
    for (const removal of removals) spawnSync('ip', removal);
  }

  #addressOf(host: string): string {
    return `${net}.${host === here ? 254 : this.#numberOf(host)}`;
  }

  #spaceOf(host: string): string {
    return `${this.#prefix}h${this.#numberOf(host)}`;
  }

  #numberOf(host: string): number {
    const at = this.#names.indexOf(host);
    if (at === -1) throw new Error(`there is no host ${host}`);
    return at + 1;
  }

  #in(host: string): string[] {
    return host === here ? [] : ['-n', this.#spaceOf(host)];
  }

  #dev(host: string): string[] {
    return ['dev', host === here ? this.#bridge : 'eth0'];
  }
}

function ip(...args: readonly string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}
