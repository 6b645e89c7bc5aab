// What Node gives every module and a simulation must decide itself. Imported first, before anything of the product.

/** Node's own. */
export const realImmediate = globalThis.setImmediate;

type TakeTurn = (task: () => void) => void;

let takeTurn: TakeTurn | null = null;

/** Who runs what asks for the next turn of the event loop; null: Node. */
export function setTurnTaker(taker: TakeTurn | null): void {
  takeTurn = taker;
}

const turn = (task: (...args: unknown[]) => void, ...args: unknown[]): unknown => {
  if (takeTurn === null) return realImmediate(task, ...args);
  takeTurn(() => task(...args));
  return undefined;
};

/** Garbage is collected when Node likes; here nothing is, while its world lasts. */
class StrongRef<T extends object> {
  readonly [Symbol.toStringTag] = 'WeakRef';
  readonly #target: T;

  constructor(target: T) {
    this.#target = target;
  }

  deref(): T {
    return this.#target;
  }
}

class NoFinalization {
  readonly [Symbol.toStringTag] = 'FinalizationRegistry';

  register(): void {
    // Nothing is collected.
  }

  unregister(): boolean {
    return false;
  }
}

Object.assign(globalThis, { setImmediate: turn, WeakRef: StrongRef, FinalizationRegistry: NoFinalization });
