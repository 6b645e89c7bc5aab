import type { SeededRandom } from '../engine/seeded-random.js';
import type { SimHost, SimProcess } from '../engine/sim-process.js';
import type { Timeline } from '../engine/timeline.js';
import type { Connection } from './connection.js';

/** How long a message takes between two hosts, ms. */
export interface LinkQuality {
  readonly baseMs: number;
  readonly jitterMs: number;
  /** Of messages that take up to `tailMs` longer. */
  readonly tailChance: number;
  readonly tailMs: number;
  /** In one host: a process that waits for its turn on a core. */
  readonly localTailMs: number;
}

interface Link {
  readonly random: SeededRandom;
  cuts: number;
  cutAt: number;
  slowness: number;
  /** Of messages that no connection brings again; connections only take longer. */
  loss: number;
}

const localMs = 0.04;
const localTails = 0.05;
const slowestMs = 5_000;

/** What lies between hosts. Each direction of a link is its own: it may be cut while the other works. */
export class Network {
  readonly timeline: Timeline;
  readonly #quality: LinkQuality;
  readonly #links = new Map<string, Link>();
  readonly #connections = new Set<Connection>();

  constructor(timeline: Timeline, quality: LinkQuality) {
    this.timeline = timeline;
    this.#quality = quality;
  }

  isCut(from: SimHost, to: SimHost): boolean {
    return this.#link(from, to).cuts > 0;
  }

  /** True time since when it is cut without a break; null: it works. */
  cutSince(from: SimHost, to: SimHost): number | null {
    const { cuts, cutAt } = this.#link(from, to);
    return cuts > 0 ? cutAt : null;
  }

  latencyMs(from: SimHost, to: SimHost): number {
    const link = this.#link(from, to);
    const { baseMs, jitterMs, tailChance, tailMs, localTailMs } = this.#quality;
    if (from === to) {
      const tail = link.random.chance(localTails) ? link.random.next() * localTailMs : 0;
      return localMs * (0.5 + link.random.next()) + tail;
    }
    const tail = link.random.chance(tailChance) ? link.random.next() * tailMs : 0;
    return Math.min(slowestMs, (baseMs + link.random.next() * jitterMs + tail) * link.slowness);
  }

  /** Whether a message that nobody repeats arrives. */
  isLost(from: SimHost, to: SimHost): boolean {
    const link = this.#link(from, to);
    return link.cuts > 0 || (link.loss > 0 && link.random.chance(link.loss));
  }

  /** One direction. Cuts add up: a link works again when each was healed. */
  cut(from: SimHost, to: SimHost): void {
    const link = this.#link(from, to);
    link.cuts += 1;
    if (link.cuts > 1) return;
    link.cutAt = this.timeline.now;
    for (const connection of this.#between(from, to)) connection.onCut();
  }

  heal(from: SimHost, to: SimHost): void {
    const link = this.#link(from, to);
    link.cuts -= 1;
    if (link.cuts > 0) return;
    for (const connection of this.#between(from, to)) connection.onHealed();
  }

  /** Both directions. */
  degrade(a: SimHost, b: SimHost, to: { readonly slowness: number; readonly loss: number }): void {
    Object.assign(this.#link(a, b), to);
    Object.assign(this.#link(b, a), to);
  }

  /** Its peers hear nothing from it until it goes on. */
  stopped(process: SimProcess): void {
    for (const { left, right, isLocal } of this.#connections) {
      if (isLocal) continue;
      if (left.process === process) right.expectSilence();
      if (right.process === process) left.expectSilence();
    }
  }

  /** Ends every connection between the two, as a firewall does that forgets them. */
  reset(a: SimHost, b: SimHost): void {
    for (const connection of [...this.#between(a, b)]) connection.reset();
  }

  add(connection: Connection): void {
    this.#connections.add(connection);
  }

  remove(connection: Connection): void {
    this.#connections.delete(connection);
  }

  *#between(a: SimHost, b: SimHost): Iterable<Connection> {
    for (const connection of this.#connections) if (connection.isBetween(a, b)) yield connection;
  }

  #link(from: SimHost, to: SimHost): Link {
    const name = `${from.name}>${to.name}`;
    const known = this.#links.get(name);
    if (known !== undefined) return known;
    const random = this.timeline.random.fork(`link ${name}`);
    const link: Link = { random, cuts: 0, cutAt: 0, slowness: 1, loss: 0 };
    this.#links.set(name, link);
    return link;
  }
}
