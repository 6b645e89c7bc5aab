import type { Hash } from './entry.js';

const wordsPerHash = 4;
const firstSlots = 1_024;
const fullAt = 0.6;

/** A set of very many hashes, by their first 128 bits: 16 bytes each, and room. */
export class HashMarks {
  #words = new Uint32Array(firstSlots * wordsPerHash);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** True: it was not there. */
  add(hash: Hash): boolean {
    const words = wordsOf(hash);
    const slot = this.#slotOf(words);
    if (!this.#isFree(slot)) return false;
    this.#words.set(words, slot * wordsPerHash);
    this.#size += 1;
    if (this.#size > this.#slots * fullAt) this.#grow();
    return true;
  }

  has(hash: Hash): boolean {
    return !this.#isFree(this.#slotOf(wordsOf(hash)));
  }

  get #slots(): number {
    return this.#words.length / wordsPerHash;
  }

  /** Where it is, or the free slot where it would be. */
  #slotOf(words: Uint32Array): number {
    const slots = this.#slots;
    for (let slot = (words[0] as number) % slots; ; slot = (slot + 1) % slots) {
      if (this.#isFree(slot)) return slot;
      const at = slot * wordsPerHash;
      if (words.every((word, i) => this.#words[at + i] === word)) return slot;
    }
  }

  #isFree(slot: number): boolean {
    const at = slot * wordsPerHash;
    for (let i = 0; i < wordsPerHash; i++) if (this.#words[at + i] !== 0) return false;
    return true;
  }

  #grow(): void {
    const old = this.#words;
    this.#words = new Uint32Array(old.length * 2);
    for (let at = 0; at < old.length; at += wordsPerHash) {
      const words = old.subarray(at, at + wordsPerHash);
      if (words.some((word) => word !== 0)) this.#words.set(words, this.#slotOf(words) * wordsPerHash);
    }
  }
}

function wordsOf(hash: Hash): Uint32Array {
  const words = new Uint32Array(wordsPerHash);
  for (let i = 0; i < wordsPerHash; i++) words[i] = Number.parseInt(hash.slice(i * 8, i * 8 + 8), 16);
  // All zeros are a free slot.
  if (words.every((word) => word === 0)) words[wordsPerHash - 1] = 1;
  return words;
}
