import type { BucketObject } from '../../../common/ports/bucket.js';
import type { ReadWindow } from '../read-window.js';
import type { NodeFacts, TreeNode } from '../trees/file-tree.js';
import type { Draft } from './draft.js';

/** A file or folder of a bucket that the kernel knows of. */
export interface BucketNode extends TreeNode {
  readonly type: 'file' | 'directory';
  /** Below the prefix, without slashes at its ends; that of the root is empty. */
  path: string;
  /** What was last heard of its object; null: it has none, as folders and new files. */
  object: BucketObject | null;
  /** When that was, of the monotonic clock; another question is asked a few seconds later. */
  heardMs: number;
  /** Null: nobody writes to it. */
  draft: Draft | null;
  openings: number;
  /** Of who reads it. */
  readonly window: ReadWindow;
  /** It was removed, here. */
  isGone: boolean;
  /** Changes and uploads of it, one after the other. */
  turn: Promise<void>;
}

/** One after the other with what else changes this node. */
export async function inTurn<T>(node: BucketNode, work: () => Promise<T>): Promise<T> {
  return await inTurns([node], work);
}

/** In the turn of each of them. They are asked for in one step, so that two who want the same ones never wait for each other. */
export async function inTurns<T>(nodes: readonly BucketNode[], work: () => Promise<T>): Promise<T> {
  const mine = Promise.all(nodes.map(({ turn }) => turn)).then(work);
  const turn = mine.then(
    () => undefined,
    () => undefined, // told to whoever asked for it
  );
  for (const node of nodes) node.turn = turn;
  return await mine;
}

/** Of a path. */
export function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')));
}

export function childPath({ path }: BucketNode, name: string): string {
  return path === '' ? name : `${path}/${name}`;
}

export function factsOf(
  { size, modifiedMs }: { readonly size: number; readonly modifiedMs: number },
  mode: number,
): NodeFacts {
  const mtimeSeconds = Math.floor(modifiedMs / 1_000);
  const mtimeNanos = Math.round((modifiedMs - mtimeSeconds * 1_000) * 1_000_000);
  return { size, bytes: size, mode, mtimeSeconds, mtimeNanos, ctimeMs: modifiedMs };
}
