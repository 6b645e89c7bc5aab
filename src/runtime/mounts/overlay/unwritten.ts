import type { FileNode, MountNode } from './overlay-node.js';

const shownPaths = 3;
const keptFiles = 1_000;

/**
 * Files of a mount that the kernel had taken from programs and could not write here, for want of room: who wrote them may have
 * been told that all is well. It is told once, to whoever commits next.
 */
export class Unwritten {
  readonly #files = new Map<FileNode, string>();

  add(file: FileNode, why: string): void {
    if (this.#files.size < keptFiles) this.#files.set(file, why);
  }

  /** It is empty now, so nothing is missing in it. */
  forget(file: FileNode): void {
    this.#files.delete(file);
  }

  /** Which, and why; null: none, or only such as were removed. */
  take(): string | null {
    const left = [...this.#files].filter(([file]) => isNamed(file));
    this.#files.clear();
    if (left.length === 0) return null;
    const shown = left.slice(0, shownPaths).map(([file, why]) => `${pathOf(file)} (${why})`);
    return `${shown.join(', ')}${left.length > shownPaths ? ` and ${left.length - shownPaths} others` : ''}`;
  }
}

function isNamed({ tree, parent }: MountNode): boolean {
  if (parent === null) return false;
  for (let at: MountNode = parent; ; at = at.parent) {
    if (at === tree.root) return true;
    if (at.parent === null) return false;
  }
}

function pathOf({ name, parent }: MountNode): string {
  return parent === null || parent.parent === null ? name : `${pathOf(parent)}/${name}`;
}
