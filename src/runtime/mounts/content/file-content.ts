import {
  type ChunkRange,
  chunkAt,
  chunkCount,
  chunkNumber,
  maxFileBytes,
} from '../../../common/volumes/chunk-layout.js';
import { chunksOf, type StoredContent } from '../../../common/volumes/content.js';
import { refuse } from '../refused.js';
import { ChangeQueue } from './change-queue.js';
import type { WantedChunk } from './chunk-cache.js';
import { isWithin, rangesOf } from './chunk-ranges.js';
import { type Growth, growthOfCut, growthOfWrite } from './content-growth.js';
import type { ContentParts } from './content-parts.js';
import type { ContentSnapshot, Slot } from './content-snapshot.js';
import { LocalChunk, readFileAt } from './local-chunk.js';
import { ReadAhead } from './read-ahead.js';

/**
 * The bytes of one file of a mount: chunks that are stored, fetched when they are read first, and chunks that were written here.
 * What begins with `try` works at once, or says that something must be fetched before.
 *
 * I1. Changes are made one after the other, in the order of their calls.
 * I2. A slot that is a hash has the length that the layout says for the file's size; a local one may be shorter, then zeros follow.
 */
export class FileContent {
  readonly #parts: ContentParts;
  #size: number;
  /** What it is stored as; null: it was changed. */
  #stored: StoredContent | null;
  /** Null: the list was not looked at yet. */
  #slots: Slot[] | null = null;
  #changes = 0;
  /** Of whoever reads it; null: it has not been read, or it is short. */
  #reader: ReadAhead | null = null;
  readonly #queue = new ChangeQueue();

  constructor(parts: ContentParts, stored: StoredContent | null) {
    this.#parts = parts;
    this.#stored = stored;
    this.#size = stored?.size ?? 0;
    if (stored === null) this.#slots = [];
  }

  get size(): number {
    return this.#size;
  }

  /** That count for the volume: all but holes. */
  get bytes(): number {
    if (this.#stored !== null)
      return this.#stored.content.kind === 'inline' ? this.#size : this.#stored.content.storedBytes;
    const slots = this.#slots ?? [];
    return slots.reduce((sum, slot, i) => sum + (slot === null ? 0 : chunkNumber(i, this.#size).length), 0);
  }

  growthBy(offset: number, length: number): Growth {
    return growthOfWrite({ slots: this.#slots, size: this.#size }, offset, offset + length);
  }

  growthByCut(size: number): Growth {
    return growthOfCut({ slots: this.#slots, size: this.#size }, size);
  }

  async read(offset: number, length: number): Promise<Buffer> {
    for (;;) {
      const bytes = this.tryRead(offset, length);
      if (bytes !== null) return bytes;
      await this.#load();
      const end = Math.min(offset + length, this.#size);
      const bringing = this.#bring(offset, end);
      if (offset < end) this.#readAhead(offset, end);
      await bringing;
    }
  }

  /** Fewer bytes than asked for at the end of the file only. @param room that it may be read into; default: its own */
  tryRead(offset: number, length: number, room?: Buffer): Buffer | null {
    const end = Math.min(offset + length, this.#size);
    if (offset >= end) return Buffer.alloc(0);
    const slots = this.#slots;
    if (slots === null) return this.#inlined(offset, end);
    const bytes = room?.subarray(0, end - offset) ?? Buffer.allocUnsafe(end - offset);
    for (const range of rangesOf(offset, end, this.#size)) {
      const slot = slots[range.index] ?? null;
      const from = Math.max(offset, range.offset);
      const target = bytes.subarray(from - offset, Math.min(end, range.offset + range.length) - offset);
      if (slot === null) target.fill(0);
      else if (slot instanceof LocalChunk) target.fill(0, slot.read(target, from - range.offset));
      else {
        const path = this.#parts.cache.pathOf(slot);
        if (path === null) return null;
        if (readFileAt(path, target, from - range.offset) < target.length) refuse('EIO');
      }
    }
    this.#readAhead(offset, end);
    return bytes;
  }

  #inlined(offset: number, end: number): Buffer | null {
    const content = this.#stored?.content;
    return content?.kind === 'inline' ? Buffer.from(content.bytes.subarray(offset, end)) : null;
  }

  /** @param bytes must stay as they are until it resolves */
  async write(offset: number, bytes: Uint8Array): Promise<void> {
    await this.#queue.inTurn(async () => {
      while (!this.#tryChange(offset, offset + bytes.length, () => this.#write(offset, bytes))) {
        await this.#bring(offset, offset + bytes.length);
      }
    });
  }

  tryWrite(offset: number, bytes: Uint8Array): boolean {
    if (!this.#queue.isEmpty) return false;
    return this.#tryChange(offset, offset + bytes.length, () => this.#write(offset, bytes));
  }

  async truncate(size: number): Promise<void> {
    await this.#queue.inTurn(async () => {
      if (size === 0) return this.discard();
      while (!this.#tryChange(size, size, () => this.#truncate(size))) await this.#bring(size - 1, size);
    });
  }

  /** Nobody changes what it has until it is settled or dropped. */
  snapshot(): ContentSnapshot {
    const changes = this.#changes;
    if (this.#stored !== null) return { size: this.#size, slots: null, changes, stored: this.#stored, list: [] };
    const slots = (this.#slots ?? []).map((slot, i) => {
      if (!(slot instanceof LocalChunk)) return slot;
      const { length } = chunkNumber(i, this.#size);
      if (slot.length !== length && !slot.isShared) slot.resize(length);
      return slot.share();
    });
    return { size: this.#size, slots, changes, stored: null, list: [] };
  }

  /** What was stored is read from the cache from now on; what was written meanwhile stays. */
  settle(snapshot: ContentSnapshot): void {
    const { slots, list, stored } = snapshot;
    if (slots === null) return;
    for (const [i, slot] of slots.entries()) {
      if (!(slot instanceof LocalChunk)) continue;
      // I2: one that became longer without a write to it is not what was stored.
      const isAsLong = chunkNumber(i, this.#size).length === chunkNumber(i, snapshot.size).length;
      const hash = this.#slots?.[i] === slot && isAsLong ? list[i] : undefined;
      if (hash !== undefined && this.#slots !== null) {
        this.#slots[i] = hash;
        if (hash !== null)
          this.#parts.cache.adopt(hash, slot.path === null ? { bytes: slot.all() } : { path: slot.path });
        slot.release();
      }
      slot.release();
    }
    if (this.#changes !== snapshot.changes || stored === null) return;
    this.#stored = stored;
    if (stored.content.kind === 'inline') this.#forgetSlots();
  }

  drop({ slots }: ContentSnapshot): void {
    for (const slot of slots ?? []) if (slot instanceof LocalChunk) slot.release();
  }

  #write(offset: number, bytes: Uint8Array): void {
    const end = offset + bytes.length;
    this.#grow(Math.max(this.#size, end));
    for (const range of rangesOf(offset, end, this.#size)) {
      const from = Math.max(offset, range.offset);
      const piece = bytes.subarray(from - offset, Math.min(end, range.offset + range.length) - offset);
      this.#localised(range, piece.length === range.length).write(from - range.offset, piece);
    }
  }

  #truncate(size: number): void {
    if (size >= this.#size) return this.#grow(size);
    const slots = this.#slots as Slot[];
    for (const slot of slots.splice(chunkCount(size))) if (slot instanceof LocalChunk) slot.release();
    const last = chunkAt(size - 1, size);
    if (slots[last.index] !== null && slots[last.index] !== undefined) {
      const whole = chunkNumber(last.index, this.#size);
      const local = this.#localised(whole, false);
      if (local.length > last.length) local.resize(last.length);
    }
    this.#size = size;
  }

  /** I2: the chunk that was the last one gets longer. */
  #grow(size: number): void {
    const slots = this.#slots as Slot[];
    const last = this.#lastToGrow(size);
    if (last !== null) this.#localised(last, false);
    this.#size = size;
    while (slots.length < chunkCount(size)) slots.push(null);
  }

  /** The last chunk, where it is stored and would be longer in a file of that size. */
  #lastToGrow(size: number): ChunkRange | null {
    if (size <= this.#size || this.#size === 0) return null;
    const last = chunkAt(this.#size - 1, this.#size);
    const isStored = typeof this.#slots?.[last.index] === 'string';
    return isStored && chunkNumber(last.index, size).length > last.length ? last : null;
  }

  /** Its own, to be written. */
  #localised({ index }: ChunkRange, isWhole: boolean): LocalChunk {
    const slots = this.#slots as Slot[];
    const slot = slots[index] ?? null;
    if (slot instanceof LocalChunk && !slot.isShared) return slot;
    const local = this.#copyOf(isWhole ? null : slot);
    if (slot instanceof LocalChunk) slot.release();
    slots[index] = local;
    return local;
  }

  #copyOf(slot: Slot): LocalChunk {
    const { locals, cache } = this.#parts;
    if (slot === null) return locals.create();
    if (slot instanceof LocalChunk) return slot.copy();
    return locals.copyOf(cache.pathOf(slot) ?? refuse('EIO'));
  }

  /** False: something must be fetched first; nothing was changed then. @param from where it changes; its end is `to` */
  #tryChange(from: number, to: number, change: () => void): boolean {
    if (to > maxFileBytes) refuse('EFBIG');
    if (this.#slots === null && !this.#tryLoad()) return false;
    const slots = this.#slots as Slot[];
    const size = Math.max(this.#size, to);
    const last = this.#lastToGrow(size);
    const touched = from === to ? this.#cutBy(to) : [...rangesOf(from, to, size)].filter((r) => !isWithin(r, from, to));
    for (const { index } of last === null ? touched : [...touched, last]) {
      const slot = slots[index];
      if (typeof slot === 'string' && this.#parts.cache.pathOf(slot) === null) return false;
    }
    this.#stored = null; // before the change, which may fail halfway
    this.#changes += 1;
    change();
    return true;
  }

  /** The chunk of which a truncation leaves a part. */
  #cutBy(size: number): ChunkRange[] {
    return size === 0 || size >= this.#size ? [] : [chunkAt(size - 1, this.#size)];
  }

  /** Nothing is in it any more, also where nobody can reach it. */
  discard(): void {
    this.#forgetSlots();
    this.#slots = [];
    this.#size = 0;
    this.#stored = null;
    this.#changes += 1;
  }

  #forgetSlots(): void {
    for (const slot of this.#slots ?? []) if (slot instanceof LocalChunk) slot.release();
    this.#slots = null;
  }

  /** False: the list of chunks is to be fetched. */
  #tryLoad(): boolean {
    const content = this.#stored?.content;
    if (content?.kind !== 'inline') return false;
    this.#slots = content.bytes.length === 0 ? [] : [this.#parts.locals.create(content.bytes)];
    return true;
  }

  /** Its list of chunks is here then. */
  async #load(): Promise<void> {
    const stored = this.#stored;
    if (this.#slots !== null || stored === null) return;
    const list = await chunksOf(this.#parts.reader, stored);
    if (this.#stored === stored) this.#slots ??= [...list]; // else it is another file by now
  }

  async #bring(from: number, to: number): Promise<void> {
    if (this.#slots === null) await this.#load();
    const last = this.#lastToGrow(to);
    const wanted = [...rangesOf(from, Math.min(to, this.#size), this.#size), ...(last === null ? [] : [last])];
    for (const { index } of wanted) {
      const chunk = this.#wanted(index);
      if (chunk !== null) await this.#parts.cache.fetch(chunk);
    }
  }

  /** What of it is to be fetched; null: it is a hole, or was written here. */
  #wanted(index: number): WantedChunk | null {
    const hash = this.#slots?.[index];
    return typeof hash === 'string' ? { hash, bytes: chunkNumber(index, this.#size).length } : null;
  }

  #readAhead(offset: number, end: number): void {
    const { index } = chunkAt(end - 1, this.#size);
    if (this.#reader === null && index + 1 === chunkCount(this.#size)) return;
    this.#reader ??= new ReadAhead(this.#parts.cache, (next) => this.#wanted(next));
    this.#reader.read({ offset, end, index });
  }
}
