import type { LmdbKey, LmdbTable } from '../../../src/adapters/embedded/lmdb-database.js';

interface Entry {
  readonly key: LmdbKey;
  readonly value: string;
}

interface Undo {
  readonly at: number;
  readonly name: string;
  readonly before: Entry | undefined;
}

interface Range {
  readonly start?: LmdbKey;
  readonly end?: LmdbKey;
  readonly limit?: number;
  readonly inclusiveEnd?: boolean;
  readonly exclusiveStart?: boolean;
  /** From `start` down to `end`. */
  readonly reverse?: boolean;
}

const undoneWithinMs = 120_000;
const keptUndos = 100_000;

/** Records in memory that can forget what was written last, as a replica that takes over does, or a file that was not synced. */
export class MemoryTable {
  readonly #entries = new Map<string, Entry>();
  readonly #now: () => number;
  #undos: Undo[] = [];

  /** @param now true time */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** As the stores of `adapters/embedded` use it. */
  get table(): LmdbTable {
    return this as unknown as LmdbTable;
  }

  get(key: LmdbKey): string | undefined {
    return this.#entries.get(nameOf(key))?.value;
  }

  putSync(key: LmdbKey, value: string): boolean {
    this.#set(nameOf(key), { key, value });
    return true;
  }

  removeSync(key: LmdbKey): boolean {
    const name = nameOf(key);
    if (!this.#entries.has(name)) return false;
    this.#set(name, undefined);
    return true;
  }

  getKeys(range: Range): LmdbKey[] {
    return this.#range(range).map(({ key }) => key);
  }

  getRange(range: Range): Entry[] {
    return this.#range(range);
  }

  /** What was written after that moment never was. Returns the keys that changed. */
  forgetSince(at: number): LmdbKey[] {
    const changed = new Map<string, LmdbKey>();
    for (let undo = this.#undos.at(-1); undo !== undefined && undo.at > at; undo = this.#undos.at(-1)) {
      this.#undos.pop();
      const now = this.#entries.get(undo.name);
      const key = undo.before?.key ?? now?.key;
      if (key !== undefined) changed.set(undo.name, key);
      if (undo.before === undefined) this.#entries.delete(undo.name);
      else this.#entries.set(undo.name, undo.before);
    }
    return [...changed.values()];
  }

  #set(name: string, entry: Entry | undefined): void {
    const at = this.#now();
    this.#undos.push({ at, name, before: this.#entries.get(name) });
    if (this.#undos.length > keptUndos) this.#undos = this.#undos.filter((undo) => undo.at > at - undoneWithinMs);
    if (entry === undefined) this.#entries.delete(name);
    else this.#entries.set(name, entry);
  }

  #range(range: Range): Entry[] {
    const { start, end, limit = Infinity, inclusiveEnd = false, exclusiveStart = false, reverse = false } = range;
    const order = reverse ? (a: LmdbKey, b: LmdbKey) => compare(b, a) : compare;
    const within = [...this.#entries.values()].filter(({ key }) => {
      const fromStart = start === undefined ? 1 : order(key, start);
      const fromEnd = end === undefined ? -1 : order(key, end);
      return (exclusiveStart ? fromStart > 0 : fromStart >= 0) && (inclusiveEnd ? fromEnd <= 0 : fromEnd < 0);
    });
    return within.sort((a, b) => order(a.key, b.key)).slice(0, limit);
  }
}

function nameOf(key: LmdbKey): string {
  return JSON.stringify(key);
}

/** As LMDB orders them: numbers before strings, a beginning before what it begins. */
function compare(a: LmdbKey, b: LmdbKey): number {
  for (let i = 0; i < Math.min(a.length, b.length); i += 1) {
    const [x, y] = [a[i] as string | number, b[i] as string | number];
    if (x === y) continue;
    if (typeof x !== typeof y) return typeof x === 'number' ? -1 : 1;
    return x < y ? -1 : 1;
  }
  return a.length - b.length;
}
