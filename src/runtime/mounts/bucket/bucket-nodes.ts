import type { Clock } from '../../../common/clock.js';
import type { Bucket, BucketObject } from '../../../common/ports/bucket.js';
import { ReadWindow } from '../read-window.js';
import type { BucketNode } from './bucket-node.js';

/** What the bucket said holds for so long; what is changed here is known at once. */
const freshMs = 3_000;
/** Of objects that a listing told of: programs that list look at each of them next. */
const maxHeard = 20_000;

export interface BucketNodesParts {
  readonly bucket: Bucket;
  /** Of all keys; empty, or with a slash at its end. */
  readonly prefix: string;
  readonly clock: Clock;
}

interface Heard {
  readonly type: 'file' | 'directory';
  readonly object: BucketObject | null;
  readonly atMs: number;
}

/** What is known of a bucket here: one node for each path that the kernel knows of, and what listings said of others. */
export class BucketNodes {
  readonly root: BucketNode;
  readonly #parts: BucketNodesParts;
  readonly #nodes = new Map<string, BucketNode>();
  readonly #heard = new Map<string, Heard>();
  readonly #moves = new Set<{ readonly path: string; readonly over: Promise<void> }>();

  constructor(parts: BucketNodesParts) {
    this.#parts = parts;
    this.root = this.#make('', { type: 'directory', object: null, atMs: 0 });
  }

  key(path: string): string {
    return `${this.#parts.prefix}${path}`;
  }

  folderKey(path: string): string {
    return path === '' ? this.#parts.prefix : `${this.key(path)}/`;
  }

  get all(): Iterable<BucketNode> {
    return this.#nodes.values();
  }

  below(path: string): BucketNode[] {
    return [...this.#nodes.values()].filter((node) => node.path.startsWith(`${path}/`));
  }

  /** What comes to be known below the folder meanwhile has its first turn after that, where it is then. */
  async whileMoving(path: string, work: () => Promise<void>): Promise<void> {
    let end = (): void => undefined;
    const over = new Promise<void>((resolve) => {
      end = resolve;
    });
    const move = { path, over };
    this.#moves.add(move);
    try {
      await work();
    } finally {
      this.#moves.delete(move);
      end();
    }
  }

  known(path: string): BucketNode | null {
    return this.#nodes.get(path) ?? null;
  }

  /** Null: nothing is there. @throws what the bucket throws */
  async find(path: string): Promise<BucketNode | null> {
    const known = this.#nodes.get(path);
    // Nobody else knows of it yet.
    if (known !== undefined && known.draft !== null) return known;
    const heard = this.#fresh(path) ?? (await this.#ask(path));
    // Made or removed here while we asked.
    const now = this.#nodes.get(path);
    if (now !== undefined && (now.draft !== null || now !== known)) return now;
    if (heard === null) {
      this.#nodes.delete(path);
      return null;
    }
    // Whoever has the one before open goes on with that, or not at all (V42).
    if (now === undefined || now.type !== heard.type || isOther(now, heard.object)) return this.#make(path, heard);
    now.object = heard.object;
    now.heardMs = heard.atMs;
    return now;
  }

  /** Asked again where it is too long ago. Null: it is there no more. @throws what the bucket throws */
  async objectOf(node: BucketNode): Promise<BucketObject | null> {
    const { clock, bucket } = this.#parts;
    if (clock.monotonic() - node.heardMs > freshMs && !node.isGone) {
      const { path } = node;
      const object = await bucket.head(this.key(path));
      if (node.path === path && !isOther(node, object)) {
        node.object = object;
        node.heardMs = clock.monotonic();
      }
    }
    return node.object;
  }

  make(path: string, type: 'file' | 'directory'): BucketNode {
    return this.#make(path, { type, object: null, atMs: this.#parts.clock.monotonic() });
  }

  /** Of a page of a listing. */
  hear(path: string, object: BucketObject | null): void {
    if (this.#heard.size >= maxHeard) this.#heard.clear();
    const type = object === null ? 'directory' : 'file';
    this.#heard.set(path, { type, object, atMs: this.#parts.clock.monotonic() });
  }

  /** It, and what is below it, may be something else now. */
  unhear(path: string): void {
    this.#heard.delete(path);
    for (const below of this.#heard.keys()) if (below.startsWith(`${path}/`)) this.#heard.delete(below);
  }

  move(node: BucketNode, path: string): void {
    if (this.#nodes.get(node.path) === node) this.#nodes.delete(node.path);
    node.path = path;
    // What its object is at the new path is asked.
    node.heardMs = Number.NEGATIVE_INFINITY;
    this.#nodes.set(path, node);
  }

  drop(node: BucketNode): void {
    if (node !== this.root && this.#nodes.get(node.path) === node) this.#nodes.delete(node.path);
  }

  #make(path: string, { type, object, atMs }: Heard): BucketNode {
    const moves = [...this.#moves].filter((move) => path.startsWith(`${move.path}/`));
    const node: BucketNode = {
      ...{ type, path, object, heardMs: atMs, draft: null, openings: 0, isGone: false },
      window: new ReadWindow(),
      turn: Promise.all(moves.map(({ over }) => over)).then(() => undefined),
    };
    this.#nodes.set(path, node);
    return node;
  }

  #fresh(path: string): Heard | null {
    const heard = this.#heard.get(path);
    if (heard === undefined) return null;
    if (this.#parts.clock.monotonic() - heard.atMs <= freshMs) return heard;
    this.#heard.delete(path);
    return null;
  }

  /** A folder hides an object of its name, as in a listing. */
  async #ask(path: string): Promise<Heard | null> {
    const { bucket, clock } = this.#parts;
    const below = { prefix: `${this.key(path)}/`, inFolders: false, limit: 1, after: null };
    const [object, { objects }] = await Promise.all([bucket.head(this.key(path)), bucket.list(below)]);
    const atMs = clock.monotonic();
    if (objects.length > 0) return { type: 'directory', object: null, atMs };
    return object === null ? null : { type: 'file', object, atMs };
  }
}

/** It was replaced while somebody reads it. */
function isOther({ openings, draft, object }: BucketNode, now: BucketObject | null): boolean {
  return openings > 0 && draft === null && object !== null && object.etag !== now?.etag;
}
