import { maxCommitBytes } from '../../common/instance-storage.js';
import type { StateCommit } from '../../common/ports/state-store.js';

/** What a container of the pool wrote, without a number: its own counts for nothing here. */
export type PoolCommit = Omit<StateCommit, 'sequence'>;

/** Has the store make a commit; ends when it is known what became of it, whichever container lives. */
export type MakeCommit<T> = (commit: StateCommit) => Promise<T>;

interface Waiting<T> {
  readonly commit: PoolCommit;
  readonly bytes: number;
  readonly make: MakeCommit<T>;
  readonly resolve: (answer: T) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * The commits of all containers of a pool, with one count: each container counts its own from 1, and the store takes a number that is not
 * newer than the last one for a commit that was made (D4). One is under way; what containers write meanwhile is the next one, whole (D2).
 */
export class PoolCommits<T> {
  #waiting: Waiting<T>[] = [];
  #sequence = 0;
  #isRunning = false;

  /** What the store answers to the commit that this one is a part of. @param make of any of them @throws what was refused for good */
  add(commit: PoolCommit, make: MakeCommit<T>): Promise<T> {
    const bytes = commit.changes.reduce((sum, { key, value }) => sum + key.length + (value?.length ?? 0), 0);
    const answer = new Promise<T>((resolve, reject) => {
      this.#waiting.push({ commit, bytes, make, resolve, reject });
    });
    // Before anything else is written: containers that wrote in one turn share the first one, too.
    if (!this.#isRunning) queueMicrotask(() => void this.#makeAll());
    this.#isRunning = true;
    return answer;
  }

  async #makeAll(): Promise<void> {
    for (let [first] = this.#waiting; first !== undefined; [first] = this.#waiting) {
      const together = this.#take();
      this.#sequence += 1;
      try {
        const answer = await first.make({ ...merged(together), sequence: this.#sequence });
        for (const { resolve } of together) resolve(answer);
      } catch (error) {
        for (const { reject } of together) reject(error);
      }
    }
    this.#isRunning = false;
  }

  #take(): readonly Waiting<T>[] {
    let bytes = 0;
    const end = this.#waiting.findIndex((waiting, index) => {
      bytes += waiting.bytes;
      return index > 0 && bytes > maxCommitBytes;
    });
    return this.#waiting.splice(0, end < 0 ? this.#waiting.length : end);
  }
}

/** As if they were made one after the other. */
function merged(together: readonly { readonly commit: PoolCommit }[]): PoolCommit {
  const commits = together.map(({ commit }) => commit);
  const values = new Map(commits.flatMap(({ changes }) => changes.map(({ key, value }) => [key, value] as const)));
  const alarm = commits.findLast((commit) => commit.alarm !== undefined)?.alarm;
  return { changes: [...values].map(([key, value]) => ({ key, value })), alarm };
}
