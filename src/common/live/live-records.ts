import type { Clock, Random } from '../clock.js';
import { HoldfastError } from '../errors.js';
import type { LiveId, LiveStore, LiveValue } from '../ports/live-store.js';
import type { ObjectStore } from '../ports/object-store.js';
import { type Inode, liveKeys, type NameRecord, parseInode, parseName } from './inode.js';
import { refuseLive } from './live-error.js';

export interface LiveParts {
  readonly store: LiveStore;
  readonly objects: ObjectStore;
  readonly clock: Clock;
  readonly random: Random;
}

/** What is to be done, upon what was seen; `result` is the answer when it is done. */
export interface Step<T> {
  readonly seen: readonly LiveValue[];
  readonly writes: readonly LiveValue[];
  readonly result: T;
}

/** Who is always too late gives up after so long. */
const patienceMs = 20_000;
const longestPauseMs = 50;
const idBytes = 12;

/** Records of one network file system, and how they are changed. */
export class LiveRecords {
  readonly parts: LiveParts;
  readonly id: LiveId;

  constructor(parts: LiveParts, id: LiveId) {
    this.parts = parts;
    this.id = id;
  }

  async read(...keys: readonly string[]): Promise<(string | null)[]> {
    return await this.parts.store.read(this.id, keys);
  }

  /** @throws LiveRefusal ESTALE where it is gone */
  async inode(ino: string): Promise<{ readonly inode: Inode; readonly seen: LiveValue }> {
    const key = liveKeys.inode(ino);
    const [value = null] = await this.read(key);
    if (value === null) return refuseLive('ESTALE');
    return { inode: parseInode(value), seen: { key, value } };
  }

  async name(
    directory: string,
    name: string,
  ): Promise<{ readonly found: NameRecord | null; readonly seen: LiveValue }> {
    const key = liveKeys.name(directory, name);
    const [value = null] = await this.read(key);
    return { found: value === null ? null : parseName(value), seen: { key, value } };
  }

  /**
   * Looks, decides, and commits, until nobody came in between. A commit that was not answered is not tried again: it may have been
   * made.
   *
   * @param attempt may put objects; `undo` takes them away where its commit was not made
   */
  async change<T>(attempt: () => Promise<Step<T> & { readonly undo?: () => Promise<void> }>): Promise<T> {
    const { store, clock, random } = this.parts;
    const until = clock.monotonic() + patienceMs;
    for (let pauseMs = 1; ; pauseMs = Math.min(longestPauseMs, pauseMs * 2)) {
      const { seen, writes, result, undo } = await attempt();
      if (await store.commit(this.id, seen, writes)) return result;
      await undo?.();
      if (clock.monotonic() > until)
        throw new HoldfastError(
          'Unavailable',
          `others changed the same files of a network file system for ${patienceMs} ms`,
        );
      await clock.sleep(pauseMs * random.next());
    }
  }

  /** Begins with the time, by which a sweep knows what nobody can be about to name. */
  newId(): string {
    return `${this.nowMs().toString(16).padStart(12, '0')}${Buffer.from(this.parts.random.bytes(idBytes)).toString('hex')}`;
  }

  nowMs(): number {
    return this.parts.clock.now();
  }
}
