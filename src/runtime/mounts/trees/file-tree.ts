import type { ShownAttributes } from '../fuse/replies.js';

export type NodeType = 'file' | 'directory' | 'symlink';

/** Something in a tree; the tree gives the same object for the same thing for as long as the kernel knows of it. */
export interface TreeNode {
  readonly type: NodeType;
}

export type NodeFacts = Pick<ShownAttributes, 'size' | 'bytes' | 'mtimeSeconds' | 'mtimeNanos' | 'ctimeMs'> & {
  /** Permissions, without the type. */
  readonly mode: number;
};

export interface AttributeChange {
  readonly mode?: number;
  readonly mtime?: { readonly seconds: number; readonly nanos: number };
  readonly size?: number;
}

export interface NamePlace<N extends TreeNode> {
  readonly directory: N;
  readonly name: string;
}

/**
 * Files that are kept elsewhere, where others change them, too: a bucket, a network file system. Each method is asked by the
 * kernel for a program that waits, and ends within a bound. What is not possible is `Refused` with the number that the program
 * gets; anything else that is thrown is EIO.
 */
export interface FileTree<N extends TreeNode = TreeNode> {
  readonly root: N;
  /** Programs see each byte as it is when they read it, and what they write is away when they have written it. */
  readonly isLive: boolean;
  find(directory: N, name: string): Promise<N | null>;
  facts(node: N): Promise<NodeFacts>;
  change(node: N, change: AttributeChange): Promise<void>;
  /** In any order; without itself and its parent. */
  list(directory: N): AsyncIterable<{ readonly name: string; readonly type: NodeType }>;
  open(file: N): Promise<void>;
  read(file: N, offset: number, length: number): Promise<Buffer>;
  write(file: N, bytes: Buffer, at: { readonly offset: number; readonly isAppend: boolean }): Promise<void>;
  /** What was written is where it shall be kept. */
  flush(file: N): Promise<void>;
  /** The last of each opening. */
  release(file: N): Promise<void>;
  makeFile(at: NamePlace<N>, mode: number): Promise<N>;
  makeDirectory(at: NamePlace<N>, mode: number): Promise<N>;
  makeSymlink(at: NamePlace<N>, target: string): Promise<N>;
  readLink(node: N): Promise<string>;
  remove(at: NamePlace<N>, type: 'file' | 'directory'): Promise<void>;
  rename(from: NamePlace<N>, to: NamePlace<N>, mayReplace: boolean): Promise<void>;
  /** The kernel knows of it no more. */
  forgotten(node: N): void;
  /** What was not flushed is lost. */
  close(): Promise<void>;
}
