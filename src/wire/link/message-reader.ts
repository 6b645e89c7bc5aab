import type { OnReadOpts } from 'node:net';
import { HoldfastError } from '../../common/errors.js';

/** The length of what closes the channel: a WireError follows, or nothing. */
export const closingBit = 0x8000_0000;
/** Before each message: its length (u32, little-endian). */
export const headerBytes = 4;
export const maxMessageBytes = 134_217_728;

const usualBytes = 262_144;

/**
 * Reads messages of a socket where they arrive, in the same memory again and again: fresh memory for what is read costs ten times what
 * copying it does, and each 64 MB of it a full collection. A message is good until its visitor returns.
 *
 * I1. `#buffer` begins with a message, of which `#filled` bytes are there; there is always room for more of it.
 */
export class MessageReader {
  #buffer = Buffer.allocUnsafeSlow(usualBytes);
  #filled = 0;
  #came: (count: number) => void = () => undefined;

  /** Among the options of `new Socket` or `connect` of node:net. */
  readonly options: { readonly onread: OnReadOpts } = {
    onread: {
      buffer: () => this.#buffer.subarray(this.#filled),
      callback: (count) => {
        this.#came(count);
        return true;
      },
    },
  };

  /** @param came told of so many bytes more; in the tick in which the socket was made */
  open(came: (count: number) => void): void {
    this.#came = came;
  }

  /**
   * So many bytes have come. `visit` gets each message that is complete, behind its length; false: it wants no more.
   * @throws PayloadTooLarge, and what `visit` throws
   */
  came(count: number, visit: (message: Buffer) => boolean): void {
    const end = this.#filled + count;
    // What is thrown on the way ends the channel: nothing is read after it.
    this.#filled = 0;
    let at = 0;
    let needed = headerBytes;
    while (end - at >= headerBytes) {
      const length = this.#buffer.readUInt32LE(at) & ~closingBit;
      if (length > maxMessageBytes) throw tooLong(length);
      needed = headerBytes + length;
      if (needed > end - at) break;
      if (!visit(this.#buffer.subarray(at, at + needed))) return;
      at += needed;
      needed = headerBytes;
    }
    this.#keep(at, end, needed);
  }

  /** The beginning of a message that will be `needed` bytes long, its length not counted where that is not there yet. */
  #keep(at: number, end: number, needed: number): void {
    const before = this.#buffer;
    if (needed > before.length) this.#buffer = Buffer.allocUnsafeSlow(needed);
    else if (before.length > usualBytes && needed <= usualBytes) this.#buffer = Buffer.allocUnsafeSlow(usualBytes);
    if (this.#buffer !== before || at > 0) before.copy(this.#buffer, 0, at, end);
    this.#filled = end - at;
  }
}

export function tooLong(bytes: number): HoldfastError {
  return new HoldfastError('PayloadTooLarge', `a message is ${bytes} bytes long, at most ${maxMessageBytes} may be`);
}
