import type { Socket } from 'node:net';
import { HoldfastError } from '../common/errors.js';
import { freeBytes } from '../common/free-bytes.js';
import type { ByteStream } from '../common/ports/byte-stream.js';
import { decodeError, encodeError, maxErrorBytes } from './errors.js';

/** What a client begins such a connection with: HTTP/2 begins with `PRI`. Then comes its ticket. */
export const bytesHello = Buffer.from('hfbytes1');
/** Of a ticket; another one is not good for anything. */
export const ticketChars = 32;

/**
 * After that, bytes on a connection of their own, in pieces, both ways:
 *
 *   u32 length, big-endian | so many bytes      a piece, of at most `maxPieceBytes`
 *   0                                           the end
 *   0xffffffff | u32 length | a WireError       it has failed; nothing follows
 *
 * Without the end before it the end of the connection is a failure: the kernel closes the connections of a dead process as
 * politely as that one would have.
 */
const maxPieceBytes = 1_048_576;
const endMark = 0;
const failureMark = 0xffff_ffff;
const markBytes = 4;
/** Nobody reads: so much has come and waits, and as much as one read of the socket more. */
const maxWaitingBytes = 1_048_576;
const keepaliveMs = 5_000;

type Side = 'client' | 'server';

/** One end of it. Pieces go on as they come, so that nothing large is ever put together. */
export class ByteConnection implements ByteStream {
  readonly #socket: Socket;
  readonly #side: Side;
  readonly #endpoint: string;
  /** What has come and was not read. */
  readonly #pieces: Buffer[] = [];
  #waitingBytes = 0;
  /** A mark or an error, as far as it has come. */
  #start = Buffer.alloc(0);
  /** Of the piece that is coming. */
  #pieceLeft = 0;
  #hasEnded = false;
  #isEnding = false;
  #failure: HoldfastError | null = null;
  /** Of who waits for bytes. */
  #wake: () => void = () => undefined;

  /** @param socket may still be connecting. @param endpoint the other side, for messages */
  constructor(socket: Socket, side: Side, endpoint: string) {
    this.#socket = socket;
    this.#side = side;
    this.#endpoint = endpoint;
    socket.setNoDelay(true);
    socket.setKeepAlive(true, keepaliveMs);
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('error', (error) => this.#broke(this.#lost(error.message)));
    socket.on('end', () => this.#broke(this.#lost('it has ended')));
    socket.on('close', () => this.#broke(this.#lost('it has ended')));
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length && this.#failure === null; at += maxPieceBytes) {
      const piece = bytes.subarray(at, at + maxPieceBytes);
      // With its error: whoever broke the connection has said why before.
      await new Promise<void>((resolve) => {
        this.#socket.cork();
        this.#socket.write(markOf(piece.length));
        this.#socket.write(piece, () => resolve());
        this.#socket.uncork();
      });
    }
    if (this.#failure !== null) throw this.#failure;
  }

  end(): void {
    if (this.#isEnding || this.#failure !== null) return;
    this.#isEnding = true;
    this.#socket.write(markOf(endMark));
  }

  async *read(): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      for (;;) {
        const piece = this.#pieces.shift();
        if (piece !== undefined) {
          this.#took(piece.length);
          yield piece;
          // All that came at once is here by now: whatever else has the same memory is the next one.
          if (this.#pieces[0]?.buffer !== piece.buffer) freeBytes(piece);
        } else if (this.#failure !== null) throw this.#failure;
        else if (this.#hasEnded) return;
        else await this.#more();
      }
    } finally {
      // Of a worker's streams the outcome is what their server throws.
      if (this.#side === 'client') this.#leave();
    }
  }

  cancel(): void {
    this.#broke(this.#gaveUp());
    this.#socket.destroy();
  }

  /** The other side is told, and nothing more goes either way. */
  fail(error: unknown): void {
    if (this.#failure !== null) return;
    const body = encodeError(error);
    this.#socket.write(Buffer.concat([markOf(failureMark), markOf(body.length), body]));
    this.#broke(this.#gaveUp());
  }

  /** A client that has read all of it, or wants no more. */
  #leave(): void {
    if (!this.#hasEnded) this.#broke(this.#gaveUp());
    this.#socket.destroy();
  }

  #more(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #receive(chunk: Buffer): void {
    // Drained: until its socket is gone, the other side may go on for a while.
    if (this.#failure !== null || this.#hasEnded) return;
    const bytes = this.#start.length === 0 ? chunk : Buffer.concat([this.#start, chunk]);
    this.#start = Buffer.alloc(0);
    for (let at = 0; at < bytes.length && this.#failure === null && !this.#hasEnded; ) {
      const next = this.#pieceLeft > 0 ? this.#takePiece(bytes, at) : this.#takeMark(bytes, at);
      if (next === at) {
        this.#start = Buffer.from(bytes.subarray(at));
        return;
      }
      at = next;
    }
  }

  #takePiece(bytes: Buffer, at: number): number {
    const end = Math.min(bytes.length, at + this.#pieceLeft);
    this.#pieceLeft -= end - at;
    this.#pieces.push(bytes.subarray(at, end));
    this.#waitingBytes += end - at;
    if (this.#waitingBytes > maxWaitingBytes) this.#socket.pause();
    this.#wake();
    return end;
  }

  /** `at`: it is not all there. */
  #takeMark(bytes: Buffer, at: number): number {
    if (bytes.length - at < markBytes) return at;
    const mark = bytes.readUInt32BE(at);
    const next = at + markBytes;
    if (mark === failureMark) return this.#takeFailure(bytes, at);
    if (mark > maxPieceBytes) this.#broke(this.#lost(`a piece of ${mark} bytes`));
    else if (mark === endMark) this.#over();
    else this.#pieceLeft = mark;
    return next;
  }

  #takeFailure(bytes: Buffer, at: number): number {
    const body = at + 2 * markBytes;
    if (bytes.length < body) return at;
    const size = bytes.readUInt32BE(body - markBytes);
    if (size <= maxErrorBytes && bytes.length < body + size) return at;
    // A client has nothing to say but that it left.
    const isTold = this.#side === 'client' && size <= maxErrorBytes;
    this.#broke(isTold ? decodeError(bytes.subarray(body, body + size)) : this.#lost('it failed'));
    return bytes.length;
  }

  #took(bytes: number): void {
    const wasFull = this.#waitingBytes > maxWaitingBytes;
    this.#waitingBytes -= bytes;
    if (wasFull && this.#waitingBytes <= maxWaitingBytes) this.#socket.resume();
  }

  #over(): void {
    this.#hasEnded = true;
    this.#wake();
  }

  #broke(failure: HoldfastError): void {
    // What comes after the end of the other side is only that of its connection, unless more is to be written.
    if (this.#failure !== null || (this.#hasEnded && this.#side === 'client')) return;
    this.#failure = failure;
    this.#socket.resume();
    this.#wake();
  }

  #gaveUp(): HoldfastError {
    return new HoldfastError('Cancelled', `the bytes of ${this.#endpoint} were given up`, { outcome: 'unknown' });
  }

  #lost(why: string): HoldfastError {
    if (this.#side === 'server') return this.#gaveUp();
    return new HoldfastError('Unavailable', `the connection to ${this.#endpoint} that had these bytes broke: ${why}`, {
      outcome: 'unknown',
      retryable: true,
    });
  }
}

function markOf(value: number): Buffer {
  const mark = Buffer.allocUnsafe(markBytes);
  mark.writeUInt32BE(value);
  return mark;
}
