import { HoldfastError } from '../../common/errors.js';

/** Bytes from pieces of any size, up to a bound. */
export class ByteReader {
  readonly #source: AsyncIterator<Uint8Array>;
  readonly #maxBytes: number;
  #piece: Uint8Array = new Uint8Array(0);
  #read = 0;

  constructor(source: AsyncIterable<Uint8Array>, maxBytes: number) {
    this.#source = source[Symbol.asyncIterator]();
    this.#maxBytes = maxBytes;
  }

  /** So many; null at the end. @throws InvalidArgument where it ends in between */
  async exactly(length: number): Promise<Uint8Array | null> {
    const parts: Uint8Array[] = [];
    for await (const part of this.#upTo(length)) parts.push(part);
    const bytes = Buffer.concat(parts);
    if (bytes.length === length) return bytes;
    if (bytes.length === 0) return null;
    throw endsEarly();
  }

  /** So many, as they come. @throws InvalidArgument where it ends before */
  async *pieces(length: number): AsyncGenerator<Uint8Array, void, undefined> {
    let left = length;
    for await (const part of this.#upTo(length)) {
      left -= part.length;
      yield part;
    }
    if (left > 0) throw endsEarly();
  }

  /** To its end. */
  async drain(): Promise<void> {
    while (await this.#more());
  }

  async close(): Promise<void> {
    await this.#source.return?.();
  }

  async *#upTo(length: number): AsyncGenerator<Uint8Array, void, undefined> {
    for (let left = length; left > 0; ) {
      if (this.#piece.length === 0 && !(await this.#more())) return;
      const part = this.#piece.subarray(0, left);
      this.#piece = this.#piece.subarray(part.length);
      left -= part.length;
      yield part;
    }
  }

  async #more(): Promise<boolean> {
    const next = await this.#source.next();
    if (next.done) return false;
    this.#piece = next.value;
    this.#read += next.value.length;
    if (this.#read <= this.#maxBytes) return true;
    throw new HoldfastError('PayloadTooLarge', `a layer has more than ${this.#maxBytes} bytes`);
  }
}

function endsEarly(): HoldfastError {
  return new HoldfastError('InvalidArgument', 'a layer of an OCI image cannot be used: it ends too early');
}
