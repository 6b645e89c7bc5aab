import type { Clock } from '../clock.js';
import { HoldfastError, isHoldfastError } from '../errors.js';
import type { HeldCommit, VolumeHolds } from '../ports/volume-store.js';

const holdTtlMs = 60_000;
const renewEveryMs = 15_000;

/** What a committer or a reader does with holds. */
export type CommitHolds = Pick<VolumeHolds, 'hold' | 'holdAlso' | 'renew' | 'reserve' | 'release'>;

export interface HoldParts {
  readonly holds: CommitHolds;
  readonly clock: Clock;
  readonly account: string;
}

/**
 * A hold that is renewed for as long as it is kept. It is over when it is released, when its renewal is refused, or when the
 * store was away for too long; `over` is then aborted, with why.
 */
export class KeptHold {
  readonly id: string;
  readonly account: string;
  readonly #parts: HoldParts;
  readonly #over = new AbortController();
  readonly #renewing: Promise<void>;

  /** @throws NotFound where the commit is not in the history (any more) */
  static async take(parts: HoldParts, id: string, commit: HeldCommit | null): Promise<KeptHold> {
    const isHeld = await parts.holds.hold(parts.account, { id, ttlMs: holdTtlMs, commit });
    if (isHeld) return new KeptHold(parts, id);
    throw new HoldfastError('NotFound', `commit ${commit?.commitId} is not in the history of its volume any more`);
  }

  private constructor(parts: HoldParts, id: string) {
    this.#parts = parts;
    this.id = id;
    this.account = parts.account;
    this.#renewing = this.#renew().catch((error: unknown) => this.#over.abort(error));
  }

  get over(): AbortSignal {
    return this.#over.signal;
  }

  /** Ends it, without a word to the store where a commit has ended it there. */
  async release(how: { readonly isPublished: boolean } = { isPublished: false }): Promise<void> {
    this.#over.abort(holdOver(this.id, 'was released'));
    await this.#renewing;
    // One that nobody releases lapses.
    if (!how.isPublished) await this.#parts.holds.release(this.account, this.id).catch(() => undefined);
  }

  async #renew(): Promise<void> {
    const { clock, holds } = this.#parts;
    let lastAt = clock.monotonic();
    while (!this.over.aborted) {
      await clock.sleep(renewEveryMs, this.over).catch(() => undefined); // released: the condition sees it
      if (this.over.aborted) return;
      const askedAt = clock.monotonic();
      const renewed = await holds.renew(this.account, this.id, holdTtlMs).catch(nullWhileAway);
      if (renewed === true) lastAt = askedAt;
      if (renewed === false || clock.monotonic() - lastAt >= holdTtlMs)
        this.#over.abort(holdOver(this.id, 'has lapsed'));
    }
  }
}

export function holdOver(id: string, why: string): HoldfastError {
  return new HoldfastError('Unavailable', `hold ${id} ${why}: what it kept may be removed; begin again`);
}

function nullWhileAway(error: unknown): null {
  if (isHoldfastError(error)) return null;
  throw error;
}
