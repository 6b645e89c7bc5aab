import { LRUCache } from 'lru-cache';
import type { ClassIdentity } from '../../common/ids.js';

const maxClasses = 10_000;
/** In a row: then the next one is expected to be new as well. */
const enough = 8;

/**
 * Which classes are asked for names that were never used: such a name is made without looking for it first, and the
 * compare-and-set says where that was wrong (S4). One that was there ends the expectation.
 */
export class NewNames {
  readonly #inARow = new LRUCache<string, number>({ max: maxClasses });

  areExpected(of: ClassIdentity): boolean {
    return (this.#inARow.get(nameOf(of)) ?? 0) >= enough;
  }

  saw(of: ClassIdentity, wasNew: boolean): void {
    const name = nameOf(of);
    const inARow = this.#inARow.get(name) ?? 0;
    if (!wasNew) this.#inARow.delete(name);
    else if (inARow < enough) this.#inARow.set(name, inARow + 1);
  }
}

function nameOf({ account, app, className }: ClassIdentity): string {
  return `${account}/${app}/${className}`;
}
