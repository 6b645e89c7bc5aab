import type { Socket } from 'node:net';

/** What a lane begins with: HTTP/2 begins with `PRI`. Then comes its id, `laneIdChars` long, and one byte back when it is taken. */
export const laneHello = Buffer.from('hflanes1');
export const laneIdChars = 32;

/** Bytes that came before the stream has announced them: then it is not read on. */
const mostEarlyBytes = 1_048_576;
/** More than this waits in the socket: nothing more is welcome. */
const fullBytes = 1_048_576;
/** So long nothing has come of what was announced: the way of the lane is broken, whatever the stream says. */
const silenceMs = 10_000;
const keepaliveMs = 5_000;

/** What a lane tells its channel. */
export interface LaneOwner {
  /** What was announced is all there. */
  onFilled(): void;
  onDrain(): void;
  /** Once; what was announced and did not come is lost. */
  onGone(): void;
}

/**
 * A TCP connection beside a gRPC stream, for the long bodies of its messages: the stream says in its order what comes here, so that
 * messages stay in theirs. HTTP/2 in Node takes frames of 16 KiB, and grpc-js a copy of its own each way.
 */
export class Lane {
  readonly #socket: Socket;
  readonly #owner: LaneOwner;
  #phase: 'dialed' | 'open' | 'gone';
  /** Came before it was announced. */
  readonly #early: Buffer[] = [];
  #earlyBytes = 0;
  #wanted: { readonly whole: Buffer; at: number } | null = null;

  /** @param phase `dialed`: the other side has not taken it yet */
  constructor(socket: Socket, phase: 'dialed' | 'open', owner: LaneOwner) {
    this.#socket = socket;
    this.#phase = phase;
    this.#owner = owner;
    socket.setNoDelay(true);
    socket.setKeepAlive(true, keepaliveMs);
    if (phase === 'open') socket.write(Uint8Array.of(1));
    socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    socket.on('drain', () => owner.onDrain());
    socket.on('timeout', () => {
      if (this.#wanted !== null) socket.destroy();
    });
    // What it broke of is for the stream to tell.
    socket.on('error', () => this.#gone());
    socket.on('end', () => this.#gone());
    socket.on('close', () => this.#gone());
  }

  /** The other side takes what is sent. */
  get isOpen(): boolean {
    return this.#phase === 'open';
  }

  /** Nothing more comes or goes. */
  get isGone(): boolean {
    return this.#phase === 'gone';
  }

  get isFull(): boolean {
    return this.#phase === 'open' && this.#socket.writableLength > fullBytes;
  }

  send(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  /** The next bytes are the rest of `whole`. False: they are to come, `onFilled` tells. One at a time. */
  fill(whole: Buffer, from: number): boolean {
    this.#wanted = { whole, at: from };
    while (this.#wanted !== null) {
      const chunk = this.#early.shift();
      if (chunk === undefined) break;
      this.#earlyBytes -= chunk.length;
      if (this.#take(chunk)) this.#wanted = null;
    }
    if (this.#earlyBytes < mostEarlyBytes) this.#socket.resume();
    if (this.#wanted === null) return true;
    if (this.#phase !== 'gone') this.#socket.setTimeout(silenceMs);
    return false;
  }

  /** Sends what was written, and ends. */
  close(): void {
    this.#phase = 'gone';
    this.#socket.setTimeout(silenceMs, () => this.#socket.destroy());
    this.#socket.resume();
    this.#socket.end();
  }

  destroy(): void {
    this.#phase = 'gone';
    this.#socket.destroy();
  }

  #onData(bytes: Buffer): void {
    if (this.#phase === 'gone') return;
    let chunk = bytes;
    if (this.#phase === 'dialed') {
      this.#phase = 'open';
      chunk = bytes.subarray(1);
    }
    if (this.#wanted === null) return this.#keep(chunk);
    if (!this.#take(chunk)) return;
    this.#wanted = null;
    this.#owner.onFilled();
  }

  /** True: that was the last of what is wanted; what is left of the chunk is kept. */
  #take(chunk: Buffer): boolean {
    const wanted = this.#wanted as { readonly whole: Buffer; at: number };
    const taken = chunk.copy(wanted.whole, wanted.at);
    wanted.at += taken;
    if (taken < chunk.length) {
      this.#early.unshift(chunk.subarray(taken));
      this.#earlyBytes += chunk.length - taken;
    }
    return wanted.at === wanted.whole.length;
  }

  #keep(chunk: Buffer): void {
    if (chunk.length === 0) return;
    this.#early.push(chunk);
    this.#earlyBytes += chunk.length;
    if (this.#earlyBytes >= mostEarlyBytes) this.#socket.pause();
  }

  /** What has come is still good: it may be all that was announced. */
  #gone(): void {
    if (this.#phase === 'gone') return;
    this.#phase = 'gone';
    this.#owner.onGone();
  }
}
