import type { Duplex } from 'node:stream';
import { HoldfastError } from '../common/errors.js';
import type { Channel, ChannelHandlers, SplitMessage } from '../common/ports/channel.js';
import { decodeError, encodeError } from './errors.js';

/** The length of what closes the channel: a WireError follows, or nothing. */
const closingBit = 0x8000_0000;
const headerBytes = 4;
/** Shorter messages are copied behind their length, longer ones written after it. */
const copiedBytes = 16_384;
const slabBytes = 65_536;
const maxMessageBytes = 134_217_728;

/**
 * Messages on a stream socket, each after its length (u32, little-endian). A socket that ends without having said so was
 * broken: that of a process that was killed ends like any other.
 */
export class SocketChannel implements Channel {
  readonly #socket: Duplex;
  #handlers: ChannelHandlers | null = null;
  #slab = Buffer.alloc(0);
  /** Bytes of a message that has not arrived as a whole. */
  #parts: Buffer[] = [];
  #partBytes = 0;
  #neededBytes = headerBytes;
  #isClosing = false;
  #isClosed = false;

  constructor(socket: Duplex) {
    this.#socket = socket;
  }

  open(handlers: ChannelHandlers): void {
    this.#handlers = handlers;
    const socket = this.#socket;
    socket.on('data', (bytes: Buffer) => this.#onData(bytes));
    socket.on('drain', () => {
      if (!this.#isClosing) handlers.onDrain();
    });
    socket.on('error', (error) => this.#onClosed(broken(error.message)));
    socket.on('end', () => this.#onClosed(broken('it ended in the middle')));
    socket.on('close', () => this.#onClosed(broken('it was closed')));
    if (socket.destroyed) setImmediate(() => this.#onClosed(broken('it was closed')));
  }

  send(message: Uint8Array | SplitMessage): boolean {
    if (this.#isClosing) return true;
    if (message.length > maxMessageBytes) throw tooLong(message.length);
    if (message instanceof Uint8Array) return this.#write(message, message.length);
    const socket = this.#socket;
    socket.cork();
    this.#write(message.head, message.length);
    const flows = socket.write(message.tail);
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

  #write(message: Uint8Array, header: number): boolean {
    const socket = this.#socket;
    if (message.length <= copiedBytes) {
      const both = this.#allocate(headerBytes + message.length);
      both.writeUInt32LE(header, 0);
      both.set(message, headerBytes);
      return socket.write(both);
    }
    const length = this.#allocate(headerBytes);
    length.writeUInt32LE(header, 0);
    socket.cork();
    socket.write(length);
    const flows = socket.write(message);
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

  #onData(bytes: Buffer): void {
    if (this.#isClosing) return;
    if (this.#partBytes + bytes.length < this.#neededBytes) return this.#keep(bytes);
    let rest = bytes;
    if (this.#partBytes > 0) {
      this.#parts.push(bytes);
      rest = Buffer.concat(this.#parts, this.#partBytes + bytes.length);
      this.#parts = [];
      this.#partBytes = 0;
    }
    let at = 0;
    while (rest.length - at >= headerBytes) {
      const header = rest.readUInt32LE(at);
      const length = header & ~closingBit;
      if (length > maxMessageBytes) return this.#fail(tooLong(length));
      const end = at + headerBytes + length;
      if (end > rest.length) {
        this.#neededBytes = headerBytes + length;
        return this.#keep(rest.subarray(at));
      }
      const message = rest.subarray(at + headerBytes, end);
      if (header >= closingBit) return this.#onClosing(message);
      this.#handlers?.onMessage(message);
      if (this.#isClosing) return;
      at = end;
    }
    this.#neededBytes = headerBytes;
    if (at < rest.length) this.#keep(rest.subarray(at));
  }

  #keep(bytes: Buffer): void {
    this.#parts.push(bytes);
    this.#partBytes += bytes.length;
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
    this.#handlers?.onClosed(error);
  }
}

function broken(why: string): HoldfastError {
  return new HoldfastError('Unavailable', `the socket to the other process broke: ${why}`, { outcome: 'unknown' });
}

function tooLong(bytes: number): HoldfastError {
  return new HoldfastError('PayloadTooLarge', `a message is ${bytes} bytes long, at most ${maxMessageBytes} may be`);
}
