/** u32 length of the body | u32 ref | body, any number of them in one message */
const headerBytes = 8;
/** Beyond this a batch leaves at once: large payloads are not merged. */
const batchBytes = 65_536;

/** Batches frames into messages of a stream; the caller decides when they leave. */
export class FrameBatches {
  readonly #send: (batch: Buffer) => void;
  #parts: Uint8Array[] = [];
  #bytes = 0;
  #isScheduled = false;
  readonly #scheduled = (): void => {
    this.#isScheduled = false;
    this.flushNow();
  };

  constructor(send: (batch: Buffer) => void) {
    this.#send = send;
  }

  write(ref: number, body: Uint8Array): void {
    this.#parts.push(header(body.length, ref), body);
    this.#bytes += headerBytes + body.length;
    if (this.#bytes >= batchBytes) this.flushNow();
  }

  flushNow(): void {
    if (this.#bytes === 0) return;
    const batch = Buffer.concat(this.#parts, this.#bytes);
    this.#parts = [];
    this.#bytes = 0;
    this.#send(batch);
  }

  flushSoon(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(this.#scheduled);
  }
}

/** Bodies alias the batch. */
export function readBatch(batch: Buffer, onFrame: (ref: number, body: Buffer) => void): void {
  let at = 0;
  while (at < batch.length) {
    const end = at + headerBytes + batch.readUInt32LE(at);
    onFrame(batch.readUInt32LE(at + 4), batch.subarray(at + headerBytes, end));
    at = end;
  }
}

function header(length: number, ref: number): Buffer {
  const bytes = Buffer.allocUnsafe(headerBytes);
  bytes.writeUInt32LE(length, 0);
  bytes.writeUInt32LE(ref, 4);
  return bytes;
}
