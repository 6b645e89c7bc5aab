import { LRUCache } from 'lru-cache';
import type { ContainerFiles, OwnContainer } from '../common/ports/container.js';
import { filesOf } from '../common/recent-files.js';

/** It is said every second. */
const most = 32;

/** Images and volumes that containers of this boot were started with lately: their files are likely to be in its caches. */
export class RecentFiles {
  readonly #names = new LRUCache<string, true>({ max: most });

  /** A container was started with these; null: with none. */
  used(files: ContainerFiles | OwnContainer | null): void {
    if (files === null) return;
    const { image } = files;
    const volumes = 'volumes' in files ? (files.volumes ?? []) : [];
    const names = volumes.flatMap((mount) => ('volume' in mount ? [mount.volume] : []));
    for (const name of filesOf({ images: image === undefined ? [] : [image.id], volumes: names }))
      this.#names.set(name, true);
  }

  /** The last ones first. */
  list(): string[] {
    return [...this.#names.keys()];
  }
}
