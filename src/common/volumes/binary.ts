import { HoldfastError } from '../errors.js';

const firstBytes = 1_024;

/** Bytes that grow as they are written. */
export class ByteWriter {
  #buffer = Buffer.allocUnsafe(firstBytes);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  u8(value: number): void {
    this.#room(1);
    this.#buffer[this.#length++] = value;
  }

  u16(value: number): void {
    this.#room(2);
    this.#length = this.#buffer.writeUInt16LE(value, this.#length);
  }

  /** A whole number from 0 to 2^53 - 1, in groups of seven bits, the lowest first. */
  count(value: number): void {
    let rest = value;
    while (rest > 0x7f) {
      this.u8((rest % 0x80) | 0x80);
      rest = Math.floor(rest / 0x80);
    }
    this.u8(rest);
  }

  /** As `count`, also below zero. */
  signed(value: number): void {
    this.count(value < 0 ? -value * 2 - 1 : value * 2);
  }

  raw(bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.#buffer.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** Their length, then the bytes. */
  bytes(bytes: Uint8Array): void {
    this.count(bytes.length);
    this.raw(bytes);
  }

  /** What was written; the writer is done. */
  finish(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  #room(bytes: number): void {
    const needed = this.#length + bytes;
    if (needed <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2));
    this.#buffer.copy(larger, 0, 0, this.#length);
    this.#buffer = larger;
  }
}

/** Reads what a `ByteWriter` wrote, from anyone: every length is checked before it is used. */
export class ByteReader {
  readonly #bytes: Buffer;
  readonly #what: string;
  #at = 0;

  /** @param what it is, for messages */
  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#what = what;
  }

  get at(): number {
    return this.#at;
  }

  u8(): number {
    if (this.#at >= this.#bytes.length) throw this.wrong('ends too early');
    return this.#bytes[this.#at++] as number;
  }

  u16(): number {
    return this.u8() | (this.u8() << 8);
  }

  count(most = Number.MAX_SAFE_INTEGER): number {
    let value = 0;
    for (let factor = 1; ; factor *= 0x80) {
      const byte = this.u8();
      value += (byte & 0x7f) * factor;
      if (value > most) throw this.wrong('has a number that is too large');
      if (byte < 0x80) {
        // Another way to write the same number would be another hash of the same tree.
        if (byte === 0 && factor > 1) throw this.wrong('has a number with a superfluous byte');
        return value;
      }
    }
  }

  signed(most: number): number {
    const value = this.count(most * 2);
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  raw(length: number): Buffer {
    if (length > this.#bytes.length - this.#at) throw this.wrong('ends too early');
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  bytes(most: number): Buffer {
    return this.raw(this.count(most));
  }

  /** Since an earlier `at`. */
  since(start: number): Buffer {
    return this.#bytes.subarray(start, this.#at);
  }

  end(): void {
    if (this.#at !== this.#bytes.length) throw this.wrong('goes on after its end');
  }

  wrong(why: string): HoldfastError {
    return new HoldfastError(
      'Internal',
      `${this.#what} of ${this.#bytes.length} bytes ${why}: it is not one that was committed`,
    );
  }
}
