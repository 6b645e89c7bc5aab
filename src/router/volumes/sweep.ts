import { ulid } from 'ulid';
import type { Clock } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import type { ObjectStore } from '../../common/ports/object-store.js';
import type { Store } from '../../common/ports/store.js';
import type { Hash } from '../../common/volumes/entry.js';
import type { HashMarks } from '../../common/volumes/hash-marks.js';
import { inParallel } from '../../common/volumes/in-parallel.js';
import { markReachable } from '../../common/volumes/mark-reachable.js';
import { hashInKey, objectKey, volumeFolder } from '../../common/volumes/object-key.js';
import { ObjectReader } from '../../common/volumes/object-reader.js';

export interface SweepParts {
  readonly store: Pick<Store, 'volumes' | 'holds'>;
  readonly objects: ObjectStore;
  readonly clock: Clock;
}

/** Which commits of a volume stay in its history: the newest, and all younger ones. */
export interface Retention {
  readonly keepCommits: number;
  readonly keepForMs: number;
}

export interface Swept {
  readonly removed: number;
  readonly kept: number;
  readonly commitsForgotten: number;
}

export const defaultRetention: Retention = { keepCommits: 100, keepForMs: 7 * 86_400_000 };

const sweepTtlMs = 60_000;
const renewEveryMs = 15_000;
/** What is condemned is so for a minute; nothing of it is removed after half of that. */
const condemnedForMs = 60_000;
const removeWithinMs = 30_000;
const batchObjects = 256;
const removedAtOnce = 16;
const historyPage = 1_000;

/**
 * Removes what no commit, reader or commit under way needs (see VolumeHolds).
 *
 * I1. Marked is: all that commits refer to which are in a history after the sweep began, and what holds name, read after that.
 * I2. An object is removed only after it was condemned, and within `removeWithinMs` of that.
 * I3. What cannot be read ends the sweep before anything is removed.
 *
 * @throws AlreadyExists while another sweep of the account is under way; Unavailable, Internal
 */
export async function sweepAccount(parts: SweepParts, account: string, retention: Retention): Promise<Swept> {
  const id = ulid(parts.clock.now());
  if (!(await parts.store.holds.beginSweep(account, id, sweepTtlMs))) {
    throw new HoldfastError(
      'AlreadyExists',
      `a sweep of the volumes of account ${account} is under way; try again later`,
    );
  }
  const sweep = new Sweep(parts, { account, id });
  return await sweep.run(retention);
}

class Sweep {
  readonly #parts: SweepParts;
  readonly #account: string;
  readonly #id: string;
  readonly #over = new AbortController();

  constructor(parts: SweepParts, of: { readonly account: string; readonly id: string }) {
    this.#parts = parts;
    this.#account = of.account;
    this.#id = of.id;
  }

  async run(retention: Retention): Promise<Swept> {
    const { holds } = this.#parts.store;
    const renewing = this.#renew();
    try {
      const commitsForgotten = await this.#forget(retention);
      const { objects, clock } = this.#parts;
      const reader = new ObjectReader({ objects, account: this.#account, clock });
      const marks = await markReachable(reader, await this.#roots());
      const removed = await this.#removeUnmarked(marks);
      return { removed, kept: marks.size, commitsForgotten };
    } finally {
      this.#over.abort(new HoldfastError('Unavailable', 'the sweep has ended'));
      await renewing;
      // One that nobody ends lapses.
      await holds.endSweep(this.#account, this.#id).catch(() => undefined);
    }
  }

  async #forget({ keepCommits, keepForMs }: Retention): Promise<number> {
    const { volumes } = this.#parts.store;
    while ((await volumes.expire(this.#account)).length > 0) this.#over.signal.throwIfAborted();
    const youngAfter = this.#parts.clock.now() - keepForMs;
    let forgotten = 0;
    for (const { id } of await volumes.list(this.#account)) {
      let kept = 0;
      let oldest: string | null = null;
      for await (const commit of this.#history(id)) {
        if (kept >= keepCommits && oldest !== null && commit.atMs < youngAfter) {
          // By its id, not by a number: others publish meanwhile.
          forgotten += await this.#forgetBefore(id, oldest);
          break;
        }
        oldest = commit.id;
        kept += 1;
      }
    }
    return forgotten;
  }

  async #forgetBefore(volumeId: string, commitId: string): Promise<number> {
    const { volumes } = this.#parts.store;
    let forgotten = 0;
    for (let gone = 1; gone > 0; forgotten += gone) {
      this.#over.signal.throwIfAborted();
      gone = await volumes.forgetBefore(this.#account, volumeId, commitId);
    }
    return forgotten;
  }

  /** Commits first, holds after them (I1): who takes a hold on a commit finds it in the history. */
  async #roots(): Promise<Set<Hash>> {
    const { volumes, holds } = this.#parts.store;
    const roots = new Set<Hash>();
    for (const { id } of await volumes.list(this.#account)) {
      for await (const { root } of this.#history(id)) roots.add(root.hash);
    }
    for (const root of await holds.heldRoots(this.#account)) roots.add(root);
    return roots;
  }

  async *#history(volumeId: string) {
    const { volumes } = this.#parts.store;
    for (let after: string | null = null; ; ) {
      this.#over.signal.throwIfAborted();
      const page = { limit: historyPage, after };
      const commits = await volumes.commits(this.#account, volumeId, page);
      yield* commits;
      const last = commits.at(-1);
      if (last === undefined || commits.length < historyPage) return;
      after = last.id;
    }
  }

  async #removeUnmarked(marks: HashMarks): Promise<number> {
    let removed = 0;
    let batch: Hash[] = [];
    for await (const keys of this.#parts.objects.list(volumeFolder(this.#account))) {
      for (const key of keys) {
        const hash = hashInKey(key);
        if (hash === null || marks.has(hash)) continue;
        batch.push(hash);
        if (batch.length < batchObjects) continue;
        removed += await this.#removeBatch(batch);
        batch = [];
      }
    }
    return removed + (batch.length === 0 ? 0 : await this.#removeBatch(batch));
  }

  async #removeBatch(hashes: readonly Hash[]): Promise<number> {
    const { store, objects, clock } = this.#parts;
    this.#over.signal.throwIfAborted();
    const condemnedAt = clock.monotonic();
    const sweep = { account: this.#account, id: this.#id, ttlMs: condemnedForMs };
    const condemned = await store.holds.condemn(sweep, hashes);
    if (condemned === null) throw lapsed(this.#account);
    await inParallel(condemned, removedAtOnce, async (hash) => {
      // I2. Too late for it: it may be wanted again. What is left is found by the next sweep.
      if (clock.monotonic() - condemnedAt > removeWithinMs) throw lapsed(this.#account);
      await objects.delete(objectKey(this.#account, hash));
    });
    await store.holds.absolve(this.#account, this.#id);
    return condemned.length;
  }

  async #renew(): Promise<void> {
    const { clock, store } = this.#parts;
    while (!this.#over.signal.aborted) {
      await clock.sleep(renewEveryMs, this.#over.signal).catch(() => undefined); // ended: the condition sees it
      if (this.#over.signal.aborted) return;
      // While the store is away nothing is condemned; a renewal that is refused ends the sweep.
      const isHeld = await store.holds.renewSweep(this.#account, this.#id, sweepTtlMs).catch(() => true);
      if (!isHeld) this.#over.abort(lapsed(this.#account));
    }
  }
}

function lapsed(account: string): HoldfastError {
  return new HoldfastError(
    'Unavailable',
    `the sweep of the volumes of account ${account} took too long at one step; try again`,
  );
}
