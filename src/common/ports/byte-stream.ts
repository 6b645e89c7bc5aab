/** Bytes between a client and a worker, beside the calls: each side waits for the other, so memory stays flat. */
export interface ByteStream {
  /** Resolves when more is welcome; until then the bytes must stay as they are. @throws how it broke */
  write(bytes: Uint8Array): Promise<void>;
  /** Nothing more is written. The other side reads what was, and then the end. */
  end(): void;
  /** The other side's bytes, until it ends; each piece is good until the next is asked for. A client that leaves early breaks the stream. @throws how it broke */
  read(): AsyncIterable<Uint8Array>;
  /** Breaks it; does nothing to one that is over. */
  cancel(): void;
}
