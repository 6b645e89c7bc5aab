import { readFileSync } from 'node:fs';
import type { Clock } from '../../common/clock.js';
import type { Forks } from './cgroup-holding.js';

export interface Forking {
  /** Of the program that walls it in; that one and its children are never held back. */
  readonly pid: number;
  readonly forks: Forks;
}

interface Watched extends Forking {
  lookedAt: number;
  refused: number;
  refusedAt: number;
  count: number;
  /** Looks one after the other that found fewer processes, and none refused. */
  fewer: number;
  isMoving: boolean;
}

/** However many there are. */
const lookedAtOnce = 16;
const stormPerSecond = 32;
/** What is held back is still refused some, and somebody may begin another. */
const newStormPerSecond = 10 * stormPerSecond;
const heldCores = 0.02;
const quietMs = 10_000;
const endingLooks = 2;
const msPerSecond = 1_000;

/**
 * What is at its limit of processes and goes on forking takes the kernel's time without end, and in the kernel it gives way to
 * nobody (ADR 101).
 *
 * I1. Whoever is refused 32 processes a second is held back, with all that it has started, to a fiftieth of a core, until it is
 *     ending, as what was killed is, or has been refused none for ten seconds. What serves the sandbox, and what is started in it
 *     from then on, is free.
 * I2. A look reads 16 counters at most, and those of what is held back.
 */
export class ForkStorms {
  readonly #clock: Clock;
  /** In the order of their last look. */
  readonly #watched = new Set<Watched>();
  readonly #held = new Set<Watched>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @returns ends that */
  watch({ pid, forks }: Forking): () => void {
    const now = this.#clock.monotonic();
    const watched = { pid, forks, lookedAt: now, refused: 0, refusedAt: now, count: 0, fewer: 0, isMoving: false };
    this.#watched.add(watched);
    return () => {
      this.#watched.delete(watched);
      this.#held.delete(watched);
    };
  }

  /** @param isBusy none of them can have begun a storm otherwise */
  look(isBusy: boolean): void {
    for (const held of this.#held) this.#lookAt(held);
    if (!isBusy) return;
    for (const next of [...this.#first()]) {
      this.#watched.delete(next);
      this.#watched.add(next);
      if (!this.#held.has(next)) this.#lookAt(next);
    }
  }

  *#first(): Iterable<Watched> {
    let left = lookedAtOnce;
    for (const next of this.#watched) {
      if (left === 0) return;
      left -= 1;
      yield next;
    }
  }

  #lookAt(watched: Watched): void {
    const { forks, lookedAt, refused, count } = watched;
    const now = this.#clock.monotonic();
    watched.refused = forks.refused();
    watched.count = forks.count();
    watched.lookedAt = now;
    const more = watched.refused - refused;
    if (more > 0) watched.refusedAt = now;
    watched.fewer = more === 0 && watched.count < count ? watched.fewer + 1 : 0;
    const perSecond = (more * msPerSecond) / Math.max(1, now - lookedAt);
    if (perSecond >= (forks.isHeldBack ? newStormPerSecond : stormPerSecond)) this.#hold(watched);
    else if (watched.fewer >= endingLooks || now - watched.refusedAt >= quietMs) this.#letGo(watched);
  }

  #hold(watched: Watched): void {
    const { pid, forks } = watched;
    const free = childrenOf(pid);
    if (free === null || watched.isMoving) return;
    watched.isMoving = true;
    this.#held.add(watched);
    forks
      .holdBack(heldCores, [pid, ...free])
      .catch(() => undefined) // it has ended meanwhile
      .finally(() => {
        watched.isMoving = false;
      });
  }

  #letGo(watched: Watched): void {
    if (!this.#held.delete(watched)) return;
    try {
      watched.forks.letGo();
    } catch {
      // It has ended meanwhile.
    }
  }
}

/** Null: it has ended, or this kernel does not tell. */
function childrenOf(pid: number): number[] | null {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  } catch {
    return null;
  }
}
