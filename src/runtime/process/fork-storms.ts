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
  /** That many of those end it. */
  patience: number;
  heldAt: number;
  letGoAt: number;
  isMoving: boolean;
}

/** However many there are. */
const lookedAtOnce = 16;
const stormPerSecond = 32;
/** What is held back is still refused some, and somebody may begin another. */
const newStormPerSecond = 10 * stormPerSecond;
const heldAgainMs = 1_000;
/** The least that the kernel takes, so that no container has less. */
const heldCores = 0.01;
const quietMs = 10_000;
const leastPatience = 2;
const mostPatience = 40;
const relapseMs = 30_000;
const msPerSecond = 1_000;

/**
 * What is at its limit of processes and goes on forking takes the kernel's time without end, and in the kernel it gives way to
 * nobody (ADR 101).
 *
 * I1. Whoever is refused 32 processes a second is held back, with all that it has started, to a hundredth of a core, until it is
 *     ending, as what was killed is, or has been refused none for ten seconds. What serves the sandbox, and what is started in it
 *     from then on, is free. Who has seemed to be ending, and was not, is believed later each time.
 * I2. A look reads the counters of 16 at most, and of 16 that are held back.
 */
export class ForkStorms {
  readonly #clock: Clock;
  /** Both in the order of their last look; none is in both. */
  readonly #watched = new Set<Watched>();
  readonly #held = new Set<Watched>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @returns ends that */
  watch({ pid, forks }: Forking): () => void {
    const now = this.#clock.monotonic();
    const looks = { lookedAt: now, refused: 0, refusedAt: now, count: 0, fewer: 0, patience: leastPatience };
    const holds = { heldAt: Number.NEGATIVE_INFINITY, letGoAt: Number.NEGATIVE_INFINITY, isMoving: false };
    const watched = { pid, forks, ...looks, ...holds };
    this.#watched.add(watched);
    return () => {
      this.#watched.delete(watched);
      this.#held.delete(watched);
    };
  }

  /** @param isBusy false: none of them can have begun a storm */
  look(isBusy: boolean): void {
    const next = isBusy ? nextOf(this.#watched) : [];
    for (const each of [...nextOf(this.#held), ...next]) this.#lookAt(each);
  }

  #lookAt(watched: Watched): void {
    const { forks, lookedAt, refused: refusedBefore, count: countBefore } = watched;
    const [refused, count] = [forks.refused(), forks.count()];
    if (refused === null || count === null) return; // it has ended, or the next look tells
    const now = this.#clock.monotonic();
    Object.assign(watched, { refused, count, lookedAt: now });
    const more = refused - refusedBefore;
    if (more > 0) watched.refusedAt = now;
    watched.fewer = more === 0 && count < countBefore ? watched.fewer + 1 : 0;
    const perSecond = (more * msPerSecond) / Math.max(1, now - lookedAt);
    if (perSecond >= (forks.isHeldBack ? newStormPerSecond : stormPerSecond)) this.#hold(watched, now);
    else if (watched.fewer >= watched.patience || now - watched.refusedAt >= quietMs) this.#letGo(watched, now);
  }

  #hold(watched: Watched, now: number): void {
    const { pid, forks, letGoAt, patience } = watched;
    const children = childrenOf(pid);
    if (children === null || watched.isMoving || now - watched.heldAt < heldAgainMs) return;
    if (this.#watched.delete(watched)) {
      this.#held.add(watched);
      watched.patience = now - letGoAt < relapseMs ? Math.min(2 * patience, mostPatience) : leastPatience;
    }
    watched.heldAt = now;
    watched.isMoving = true;
    forks
      .holdBack(heldCores, [pid, ...children])
      .catch(() => undefined) // it has ended meanwhile, or is tried again at a later look
      .finally(() => {
        watched.isMoving = false;
      });
  }

  #letGo(watched: Watched, now: number): void {
    if (watched.isMoving || !this.#held.delete(watched)) return;
    this.#watched.add(watched);
    watched.letGoAt = now;
    try {
      watched.forks.letGo();
    } catch {
      // It has ended meanwhile.
    }
  }
}

/** Those that were not looked at for longest, and puts them last. */
function nextOf(all: Set<Watched>): Watched[] {
  const next: Watched[] = [];
  for (const each of all) {
    if (next.length === lookedAtOnce) break;
    next.push(each);
  }
  for (const each of next) {
    all.delete(each);
    all.add(each);
  }
  return next;
}

/** Null: it has ended, or this kernel does not tell (CONFIG_PROC_CHILDREN). */
function childrenOf(pid: number): number[] | null {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  } catch {
    return null;
  }
}
