/** The kernel asks for the parts of its own window in any order. */
const nearBytes = 2_097_152;
const mostParts = 4;

/**
 * How many parts of a file are worth fetching before its reader comes to them: none where he jumps, one where he reads on, and twice
 * as many with each part that he comes to.
 */
export class ReadWindow {
  #end = 0;
  #index = 0;
  #parts = 1;

  /** Beyond the part with that index, in which the read ends. The same read may come again. */
  after({ offset, end, index }: { readonly offset: number; readonly end: number; readonly index: number }): number {
    const isOn = Math.abs(offset - this.#end) <= nearBytes;
    if (!isOn) this.#parts = 0;
    else if (this.#parts === 0) this.#parts = 1;
    else if (index > this.#index) this.#parts = Math.min(mostParts, this.#parts * 2);
    this.#end = end;
    this.#index = index;
    return this.#parts;
  }
}
