import type { Monotonic } from '../../common/clock.js';
import type { BootId } from '../../common/ids.js';
import type { Workers } from './workers.js';

/** Boots that refused in this flight: not asked again before they have told of their capacity once more. */
export class Refusals {
  readonly #refused = new Map<BootId, { readonly why: string; readonly at: Monotonic }>();

  add(bootId: BootId, why: string, at: Monotonic): void {
    this.#refused.set(bootId, { why, at });
  }

  standing(workers: Workers): ReadonlyMap<BootId, string> {
    const standing = new Map<BootId, string>();
    for (const [bootId, { why, at }] of this.#refused) {
      if (!workers.heardSince(bootId, at)) standing.set(bootId, why);
    }
    return standing;
  }
}
