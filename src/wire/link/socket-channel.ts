import type { Duplex } from 'node:stream';
import { HoldfastError } from '../../common/errors.js';
import { freeBytes } from '../../common/free-bytes.js';
import type { Channel, ChannelHandlers, SplitMessage } from '../../common/ports/channel.js';
import { decodeError, encodeError } from '../errors.js';
import { closingBit, headerBytes, type MessageReader, maxMessageBytes, tooLong } from './message-reader.js';

/** Shorter messages are copied behind their length, longer ones written after it. */
const copiedBytes = 16_384;
const slabBytes = 65_536;

/**
 * Messages on a stream socket, each after its length (u32, little-endian). A socket that ends without having said so was
 * broken: that of a process that was killed ends like any other.
 */
export class SocketChannel implements Channel {
  readonly #socket: Duplex;
  readonly #reader: MessageReader | null;
  #handlers: ChannelHandlers | null = null;
  #slab = Buffer.alloc(0);
  /** Of a message that has not arrived as a whole, its length first. */
  #parts: Buffer[] = [];
  #partBytes = 0;
  /** Of that message; of its length alone where that is not known yet. */
  #neededBytes = headerBytes;
  /** What was read of which that message has copied all, or will have. */
  #spent: Buffer[] = [];
  #isClosing = false;
  #isClosed = false;

  /** @param reader where the socket reads to; messages are good until `onMessage` returns then. Null: they are their receiver's */
  constructor(socket: Duplex, reader: MessageReader | null = null) {
    this.#socket = socket;
    this.#reader = reader;
  }

  open(handlers: ChannelHandlers): void {
    this.#handlers = handlers;
    const socket = this.#socket;
    if (this.#reader === null) socket.on('data', (bytes: Buffer) => this.#onData(bytes));
    else this.#reader.open((count) => this.#onRead(this.#reader as MessageReader, count));
    socket.on('drain', () => {
      if (!this.#isClosing) handlers.onDrain();
    });
    socket.on('error', (error) => this.#onClosed(broken(error.message)));
    socket.on('end', () => this.#onClosed(broken('it ended in the middle')));
    socket.on('close', () => this.#onClosed(broken('it was closed')));
    if (socket.destroyed) setImmediate(() => this.#onClosed(broken('it was closed')));
  }

  send(message: Uint8Array | SplitMessage, sent?: () => void): boolean {
    if (this.#isClosing) return true;
    if (message.length > maxMessageBytes) throw tooLong(message.length);
    if (message instanceof Uint8Array) return this.#write(message, message.length, sent);
    const socket = this.#socket;
    socket.cork();
    this.#write(message.head, message.length);
    // In order: the head has gone before.
    const flows = socket.write(message.tail, sent);
    socket.uncork();
    return flows;
  }

  close(error?: Error): void {
    if (this.#isClosing) return;
    const reason = error === undefined ? new Uint8Array(0) : encodeError(error);
    this.#write(reason, (reason.length | closingBit) >>> 0);
    this.#isClosing = true;
    this.#socket.end();
    setImmediate(() => this.#onClosed(error ?? null));
  }

  #write(message: Uint8Array, header: number, sent?: () => void): boolean {
    const socket = this.#socket;
    if (message.length <= copiedBytes) {
      const both = this.#allocate(headerBytes + message.length);
      both.writeUInt32LE(header, 0);
      both.set(message, headerBytes);
      sent?.();
      return socket.write(both);
    }
    const length = this.#allocate(headerBytes);
    length.writeUInt32LE(header, 0);
    socket.cork();
    socket.write(length);
    const flows = socket.write(message, sent);
    socket.uncork();
    return flows;
  }

  /** Never written twice: the socket may still hold the one before. */
  #allocate(bytes: number): Buffer {
    if (this.#slab.length < bytes) this.#slab = Buffer.allocUnsafeSlow(slabBytes);
    const part = this.#slab.subarray(0, bytes);
    this.#slab = this.#slab.subarray(bytes);
    return part;
  }

  #onRead(reader: MessageReader, count: number): void {
    if (this.#isClosing) return;
    try {
      reader.came(count, (message) => {
        this.#onWhole(message);
        return !this.#isClosing;
      });
    } catch (error) {
      this.#fail(error as HoldfastError);
    }
  }

  #onData(bytes: Buffer): void {
    const copied = this.#partBytes === 0 ? 0 : this.#complete(bytes);
    let at = copied;
    while (bytes.length - at >= headerBytes && !this.#isClosing) {
      const length = bytes.readUInt32LE(at) & ~closingBit;
      const end = at + headerBytes + length;
      if (end > bytes.length) {
        if (length > maxMessageBytes) return this.#fail(tooLong(length));
        this.#neededBytes = headerBytes + length;
        break;
      }
      this.#onWhole(bytes.subarray(at, end));
      at = end;
    }
    if (at < bytes.length && !this.#isClosing) this.#keep(bytes.subarray(at));
    // No message is a view of it.
    if (at === copied) this.#spent.push(bytes);
    if (this.#partBytes === 0) this.#freeSpent();
  }

  /** Their memory is given back at once (ADR 53), where it is theirs alone. */
  #freeSpent(): void {
    for (const bytes of this.#spent) if (bytes.length === bytes.buffer.byteLength) freeBytes(bytes);
    this.#spent.length = 0;
  }

  /** Takes of these bytes what the message needs that has begun, and no more: what follows is not copied. Returns how many. */
  #complete(bytes: Buffer): number {
    let at = 0;
    for (;;) {
      const end = Math.min(bytes.length, at + this.#neededBytes - this.#partBytes);
      this.#keep(bytes.subarray(at, end));
      at = end;
      if (this.#partBytes < this.#neededBytes) return at;
      const whole = Buffer.concat(this.#parts, this.#partBytes);
      const length = whole.readUInt32LE(0) & ~closingBit;
      if (length > maxMessageBytes) {
        this.#fail(tooLong(length));
        return at;
      }
      this.#neededBytes = headerBytes + length;
      if (whole.length < this.#neededBytes) continue;
      this.#parts = [];
      this.#partBytes = 0;
      this.#neededBytes = headerBytes;
      this.#freeSpent();
      this.#onWhole(whole);
      return at;
    }
  }

  #keep(bytes: Buffer): void {
    this.#parts.push(bytes);
    this.#partBytes += bytes.length;
  }

  #onWhole(message: Buffer): void {
    const body = message.subarray(headerBytes);
    if (message.readUInt32LE(0) >= closingBit) this.#onClosing(body);
    else this.#handlers?.onMessage(body);
  }

  #onClosing(reason: Buffer): void {
    this.#isClosing = true;
    this.#socket.end();
    this.#onClosed(reason.length === 0 ? null : decodeError(reason));
  }

  /** The other side breaks the protocol. */
  #fail(error: HoldfastError): void {
    this.close(error);
    // It may not read what it was told.
    if (this.#socket.writableFinished) this.#socket.destroy();
    else this.#socket.once('finish', () => this.#socket.destroy());
    this.#onClosed(error);
  }

  #onClosed(error: Error | null): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#isClosing = true;
    this.#parts = [];
    this.#spent = [];
    this.#handlers?.onClosed(error);
  }
}

function broken(why: string): HoldfastError {
  return new HoldfastError('Unavailable', `the socket to the other process broke: ${why}`, { outcome: 'unknown' });
}
