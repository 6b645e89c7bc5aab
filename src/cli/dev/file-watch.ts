import { type FSWatcher, watch } from 'node:fs';
import { basename, dirname } from 'node:path';
import type { Clock, Timer } from '../../common/clock.js';

/** An editor writes a file in several steps; a branch switch writes many files. */
const settleMs = 100;

/** Watches a set of files, through their folders: editors replace a file by another of its name. */
export class FileWatch {
  readonly #clock: Clock;
  readonly #onChange: (file: string) => void;
  readonly #folders = new Map<string, { readonly watcher: FSWatcher; names: Set<string> }>();
  #settling: Timer | null = null;

  /** @param onChange one of the files that changed, once for changes that come together */
  constructor(clock: Clock, onChange: (file: string) => void) {
    this.#clock = clock;
    this.#onChange = onChange;
  }

  /** From here on these files and no others. */
  set(files: readonly string[]): void {
    const wanted = new Map<string, Set<string>>();
    for (const file of files) {
      const names = wanted.get(dirname(file)) ?? new Set();
      wanted.set(dirname(file), names.add(basename(file)));
    }
    for (const [folder, { watcher }] of this.#folders) if (!wanted.has(folder)) this.#drop(folder, watcher);
    for (const [folder, names] of wanted) this.#watch(folder, names);
  }

  close(): void {
    this.#settling?.cancel();
    for (const [folder, { watcher }] of this.#folders) this.#drop(folder, watcher);
  }

  #watch(folder: string, names: Set<string>): void {
    const known = this.#folders.get(folder);
    if (known) {
      known.names = names;
      return;
    }
    const watcher = watch(folder, (_event, name) => {
      if (name !== null && this.#folders.get(folder)?.names.has(name)) this.#changed(`${folder}/${name}`);
    });
    // The folder itself is gone: nothing changes in it any more.
    watcher.on('error', () => this.#drop(folder, watcher));
    this.#folders.set(folder, { watcher, names });
  }

  #drop(folder: string, watcher: FSWatcher): void {
    watcher.close();
    this.#folders.delete(folder);
  }

  #changed(file: string): void {
    this.#settling?.cancel();
    this.#settling = this.#clock.after(settleMs, () => this.#onChange(file));
  }
}
