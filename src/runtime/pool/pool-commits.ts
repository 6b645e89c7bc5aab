/**
 * The commits of all containers of a pool, one after the other and with one count: each container counts its own from 1, and the store
 * takes a number that is not newer than the last one for a commit that was made (D4).
 */
export class PoolCommits {
  #sequence = 0;
  #last: Promise<unknown> = Promise.resolve();

  /** @param commit ends when it is known, or with its container */
  run<T>(commit: (sequence: number) => Promise<T>): Promise<T> {
    const made = this.#last.then(() => {
      this.#sequence += 1;
      return commit(this.#sequence);
    });
    this.#last = made.catch(() => undefined); // told to whoever wrote it
    return made;
  }
}
