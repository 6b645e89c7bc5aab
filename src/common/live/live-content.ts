import { HoldfastError } from '../errors.js';
import type { LiveValue } from '../ports/live-store.js';
import { inParallel } from '../volumes/in-parallel.js';
import { changed, encodeRecord, type Inode, liveKeys } from './inode.js';
import { refuseLive } from './live-error.js';
import type { LiveRecords } from './live-records.js';

/** A block is one object: what is written within one writes it anew. */
export const blockBytes = 262_144;
const maxFileBytes = 1_099_511_627_776;
const objectsAtOnce = 4;
/** Of one commit. */
const maxBlocksCut = 2_000;
/** Blocks that are replaced between two looks; more often than that somebody only writes. */
const readAttempts = 100;
/** Never so: an object that was to be read is there no more, so that another look must follow. */
const replacedMeanwhile: LiveValue = { key: liveKeys.nameless(''), value: 'never' };

/**
 * The bytes of files. A write makes new objects for its blocks, then names them in one commit upon the inode that it has seen: two
 * writes at once are one after the other, and a read sees a write whole or not, within each block.
 */
export class LiveContent {
  readonly #records: LiveRecords;

  constructor(records: LiveRecords) {
    this.#records = records;
  }

  /** Shorter only at the end of the file. @throws LiveRefusal ESTALE */
  async read(ino: string, offset: number, length: number): Promise<Buffer> {
    for (let attempt = 0; attempt < readAttempts; attempt++) {
      const { size } = (await this.#records.inode(ino)).inode;
      const end = Math.min(size, offset + length);
      if (offset >= end) return Buffer.alloc(0);
      const bytes = await this.#readBlocks(ino, offset, end);
      if (bytes !== null) return bytes;
    }
    throw new HoldfastError('Unavailable', 'a file of a network file system is replaced faster than it can be read');
  }

  /** @param isAppend at the end that it has then, whatever the offset says. @throws LiveRefusal ESTALE, EFBIG */
  async write(
    ino: string,
    bytes: Buffer,
    { offset: given, isAppend }: { readonly offset: number; readonly isAppend: boolean },
  ): Promise<void> {
    if (bytes.length === 0) return;
    const replaced = await this.#records.change(async () => {
      const { inode, seen } = await this.#records.inode(ino);
      const offset = isAppend ? inode.size : given;
      const end = offset + bytes.length;
      if (end > maxFileBytes) refuseLive('EFBIG');
      const blocks = await this.#putBlocks(ino, { bytes, offset, size: inode.size });
      const next = changed(inode, this.#records.nowMs(), { size: Math.max(inode.size, end) });
      return {
        seen: blocks.isWhole ? [seen] : [seen, replacedMeanwhile],
        writes: [{ key: seen.key, value: encodeRecord(next) }, ...this.#stillNameless(ino, next), ...blocks.writes],
        result: blocks.before,
        undo: () => this.#delete(ino, blocks.made),
      };
    });
    await this.#delete(ino, replaced);
  }

  /** Longer with zeros, or shorter: from the end on, in steps of which each is whole. @throws LiveRefusal ESTALE, EFBIG */
  async cut(ino: string, size: number): Promise<void> {
    if (size > maxFileBytes) refuseLive('EFBIG');
    for (let isDone = false; !isDone; ) {
      const { replaced, isLast } = await this.#records.change(() => this.#cutOnce(ino, size));
      await this.#delete(ino, replaced);
      isDone = isLast;
    }
  }

  /** Of what nothing names any more. */
  async remove(ino: string): Promise<void> {
    const { parts, id } = this.#records;
    for (;;) {
      const page = await parts.store.list(id, { prefix: liveKeys.blocks(ino), after: null, limit: maxBlocksCut });
      if (page.length === 0) return;
      await this.#delete(
        ino,
        page.map(({ value }) => value),
      );
      await parts.store.commit(
        id,
        [],
        page.map(({ key }) => ({ key, value: null })),
      );
    }
  }

  async #cutOnce(ino: string, size: number) {
    const { inode, seen } = await this.#records.inode(ino);
    const blocksBefore = Math.ceil(inode.size / blockBytes);
    // The rest follows.
    const to = size >= inode.size ? size : Math.max(size, (blocksBefore - maxBlocksCut) * blockBytes);
    const [first, within] = [Math.floor(to / blockBytes), to % blockBytes];
    const keys = Array.from({ length: Math.max(0, blocksBefore - first) }, (_, i) => liveKeys.block(ino, first + i));
    const ids = to < inode.size ? await this.#records.read(...keys) : [];
    const writes: LiveValue[] = [];
    const [made, before]: [string[], string[]] = [[], []];
    let isWhole = true;
    for (const [i, object] of ids.entries()) {
      const key = keys[i];
      if (object === null || key === undefined) continue;
      const kept = i === 0 && within > 0 ? await this.#blockOf(ino, object) : null;
      if (i === 0 && within > 0 && kept === null) isWhole = false;
      const value = kept === null ? null : await this.#put(ino, kept.subarray(0, within));
      if (value !== null) made.push(value);
      before.push(object);
      writes.push({ key, value });
    }
    const next = changed(inode, this.#records.nowMs(), { size: to });
    return {
      seen: isWhole ? [seen] : [seen, replacedMeanwhile],
      writes: [{ key: seen.key, value: encodeRecord(next) }, ...writes],
      result: { replaced: before, isLast: to === size },
      undo: () => this.#delete(ino, made),
    };
  }

  /** Null: one was replaced since it was named. */
  async #readBlocks(ino: string, offset: number, end: number): Promise<Buffer | null> {
    const first = Math.floor(offset / blockBytes);
    const keys = blockKeys(ino, first, end);
    const ids = await this.#records.read(...keys);
    const bytes = Buffer.alloc(end - offset);
    let isWhole = true;
    await inParallel(ids.entries(), objectsAtOnce, async ([i, id]) => {
      if (id === null) return;
      const block = await this.#blockOf(ino, id);
      const start = (first + i) * blockBytes;
      if (block === null) isWhole = false;
      else if (start < offset) block.copy(bytes, 0, offset - start);
      else block.copy(bytes, start - offset);
    });
    return isWhole ? bytes : null;
  }

  async #putBlocks(ino: string, { bytes, offset, size }: { bytes: Buffer; offset: number; size: number }) {
    const end = offset + bytes.length;
    const first = Math.floor(offset / blockBytes);
    const keys = blockKeys(ino, first, end);
    const ids = await this.#records.read(...keys);
    const [made, writes]: [string[], LiveValue[]] = [[], []];
    let isComplete = true;
    await inParallel(keys.entries(), objectsAtOnce, async ([i, key]) => {
      const start = (first + i) * blockBytes;
      const [from, to] = [Math.max(start, offset), Math.min(start + blockBytes, end)];
      const piece = bytes.subarray(from - offset, to - offset);
      const id = ids[i] ?? null;
      const isWhole = from === start && (to === start + blockBytes || to >= size);
      const before = id === null || isWhole ? null : await this.#blockOf(ino, id);
      if (id !== null && !isWhole && before === null) isComplete = false;
      const block = patched(before, piece, from - start);
      const object = await this.#put(ino, block);
      made.push(object);
      writes.push({ key, value: object });
    });
    return { made, writes, isWhole: isComplete, before: ids.filter((id) => id !== null) };
  }

  /** Null: nothing names it any more, or the store has lost it. */
  async #blockOf(ino: string, id: string): Promise<Buffer | null> {
    const bytes = await this.#records.parts.objects.get(this.#objectKey(ino, id));
    return bytes === null ? null : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  async #put(ino: string, bytes: Buffer): Promise<string> {
    const id = this.#records.newId();
    await this.#records.parts.objects.put(this.#objectKey(ino, id), bytes);
    return id;
  }

  /** What cannot be deleted now is found by a sweep. */
  async #delete(ino: string, ids: readonly string[]): Promise<void> {
    const { objects } = this.#records.parts;
    await inParallel(ids, objectsAtOnce, (id) => objects.delete(this.#objectKey(ino, id)).catch(() => undefined));
  }

  #stillNameless(ino: string, { isNameless }: Inode): LiveValue[] {
    return isNameless ? [{ key: liveKeys.nameless(ino), value: String(this.#records.nowMs()) }] : [];
  }

  #objectKey(ino: string, id: string): string {
    return `${liveFolder(this.#records.id)}/${ino}/${id}`;
  }
}

/** Of the objects of a network file system. */
export function liveFolder({ account, id }: { readonly account: string; readonly id: string }): string {
  return `live/${account}/${id}`;
}

function blockKeys(ino: string, first: number, end: number): string[] {
  const count = Math.ceil(end / blockBytes) - first;
  return Array.from({ length: count }, (_, i) => liveKeys.block(ino, first + i));
}

/** A block with a piece put over it; between its end and the piece are zeros. */
function patched(before: Buffer | null, piece: Buffer, at: number): Buffer {
  const block = Buffer.alloc(Math.max(before?.length ?? 0, at + piece.length));
  before?.copy(block);
  piece.copy(block, at);
  return block;
}
