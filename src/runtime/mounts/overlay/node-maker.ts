import type { Attributes, DirectoryEntry, Entry } from '../../../common/volumes/entry.js';
import { ChangedNames } from '../changed-names.js';
import { FileContent } from '../content/file-content.js';
import {
  attributesOf,
  type DirectoryNode,
  type FileNode,
  type MountNode,
  type Place,
  type SymlinkNode,
} from './overlay-node.js';
import type { OverlayTree } from './overlay-tree.js';

/** Makes the nodes of a tree, and tells its table of them. */
export class NodeMaker {
  readonly #tree: OverlayTree;

  constructor(tree: OverlayTree) {
    this.#tree = tree;
  }

  of(place: Place, entry: Entry): MountNode {
    switch (entry.type) {
      case 'file':
        return this.file(place, attributesOf(entry), new FileContent(this.#tree.parts.content, entry));
      case 'symlink':
        return this.symlink(place, attributesOf(entry), entry.target);
      case 'directory':
        return this.directory(place, entry);
      default:
        return entry satisfies never;
    }
  }

  file(place: Place, attributes: Attributes, content: FileContent): FileNode {
    return this.#add({ type: 'file', ...this.#common(place, attributes), content, countedBytes: content.bytes });
  }

  symlink(place: Place, attributes: Attributes, target: string): SymlinkNode {
    return this.#add({ type: 'symlink', ...this.#common(place, attributes), target });
  }

  directory(place: Place, base: DirectoryEntry): DirectoryNode {
    const common = this.#common(place, attributesOf(base));
    return this.#add({
      type: 'directory',
      ...common,
      base,
      isMarked: false,
      children: new Map(),
      changes: new ChangedNames(this.#tree),
    });
  }

  #common({ parent, name }: Place, attributes: Attributes) {
    const ctimeMs = attributes.mtimeSeconds * 1_000;
    return {
      id: this.#tree.parts.table.nextId(),
      tree: this.#tree,
      parent,
      name,
      attributes,
      ctimeMs,
      lookups: 0,
      version: 0,
    };
  }

  #add<N extends MountNode>(node: N): N {
    this.#tree.parts.table.put(node);
    return node;
  }
}
