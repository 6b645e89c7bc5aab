/** The text of one stream of a command, up to a bound; what comes after that is counted and dropped. */
export class OutputCollector {
  readonly #maxBytes: number;
  #pieces: Buffer[] = [];
  #keptBytes = 0;
  #isTruncated = false;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get keptBytes(): number {
    return this.#keptBytes;
  }

  get isTruncated(): boolean {
    return this.#isTruncated;
  }

  /** @param bytes copied, as far as they are kept; @returns how many were */
  add(bytes: Uint8Array): number {
    const room = Math.min(bytes.length, this.#maxBytes - this.#keptBytes);
    if (room < bytes.length) this.#isTruncated = true;
    if (room <= 0) return 0;
    this.#pieces.push(Buffer.from(bytes.subarray(0, room)));
    this.#keptBytes += room;
    return room;
  }

  /** No more is kept: there is no room for it anywhere. */
  truncate(): void {
    this.#isTruncated = true;
  }

  /** Bytes that are no UTF-8 become U+FFFD; a character that the bound has cut is left out. */
  text(): string {
    const bytes = Buffer.concat(this.#pieces);
    return (this.#isTruncated ? bytes.subarray(0, wholeCharacters(bytes)) : bytes).toString('utf8');
  }
}

/** Length without the beginning of a character at the end. */
function wholeCharacters(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(4, bytes.length); back += 1) {
    const byte = bytes[bytes.length - back] as number;
    if (byte < 0x80) break;
    if (byte < 0xc0) continue;
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
    return length > back ? bytes.length - back : bytes.length;
  }
  return bytes.length;
}
