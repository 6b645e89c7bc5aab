import type { Socket } from 'node:net';
import type { Clock, Timer } from '../../common/clock.js';
import type { SplitMessage } from '../../common/ports/channel.js';
import { SocketChannel } from '../link/socket-channel.js';

/** What a lane begins with: HTTP/2 begins with `PRI`. Then comes its id, `laneIdChars` long, and one byte back when it is taken. */
export const laneHello = Buffer.from('hflanes1');
export const laneIdChars = 32;
const takenByte = 1;

/** More than this waits in the socket: nothing more is welcome. */
const fullBytes = 1_048_576;
/** After what is sent the other side is told how much that was, on the stream. */
const tellAfterMs = 2_000;
/** So long nothing has come of what was told: the way of the lane is broken, whatever the stream says. */
const silenceMs = 10_000;
const keepaliveMs = 5_000;

/** What a lane tells its channel. */
export interface LaneOwner {
  readonly clock: Clock;
  /** The other side has taken it: messages may be sent here. */
  onOpen(): void;
  onMessage(message: Uint8Array): void;
  onDrain(): void;
  /** So many messages have been sent here, modulo 2^32: for the other side's `expect`. */
  onSent(count: number): void;
  /** Once. Null: the other side has closed it in order. */
  onClosed(error: Error | null): void;
}

/**
 * A TCP connection beside a gRPC stream, for the messages of both sides: HTTP/2 in Node costs each message more than the rest of a
 * call does, and cuts long ones into frames of 16 KiB. Nothing is read before `read`, so that what is on the stream comes first.
 */
export class Lane {
  readonly #socket: Socket;
  readonly #channel: SocketChannel;
  readonly #owner: LaneOwner;
  #phase: 'dialed' | 'open' | 'closed' = 'dialed';
  #reads = false;
  #sent = 0;
  #received = 0;
  #expected = 0;
  #telling: Timer | null = null;
  #waiting: Timer | null = null;

  /** @param phase `dialed`: the other side has not taken it yet */
  constructor(socket: Socket, phase: 'dialed' | 'open', owner: LaneOwner) {
    this.#socket = socket;
    this.#owner = owner;
    this.#channel = new SocketChannel(socket);
    socket.setNoDelay(true);
    socket.setKeepAlive(true, keepaliveMs);
    socket.on('error', () => this.#gone(lost()));
    socket.on('close', () => this.#gone(lost()));
    socket.on('drain', () => owner.onDrain());
    if (phase === 'dialed') {
      socket.once('data', (first: Buffer) => this.#taken(first));
      return;
    }
    socket.write(Uint8Array.of(takenByte));
    this.#open();
  }

  get isClosed(): boolean {
    return this.#phase === 'closed';
  }

  get isFull(): boolean {
    return this.#phase === 'open' && this.#socket.writableLength > fullBytes;
  }

  send(message: Uint8Array | SplitMessage): void {
    this.#sent += 1;
    this.#telling ??= this.#owner.clock.after(tellAfterMs, () => {
      this.#telling = null;
      this.#owner.onSent(this.#sent >>> 0);
    });
    this.#channel.send(message);
  }

  /** The stream has said that messages come here from now on. */
  read(): void {
    this.#reads = true;
    if (this.#phase === 'open') this.#start();
  }

  /** So many messages were sent here, modulo 2^32: they come, or the lane is lost. */
  expect(count: number): void {
    const missing = (count - this.#received) | 0;
    if (missing > 0) this.#await(this.#received + missing);
  }

  /** The stream has ended: so does this, behind the last of what was sent here. */
  expectEnd(): void {
    this.#await(Number.POSITIVE_INFINITY);
  }

  /** After what was sent; nothing more is read. */
  close(error?: Error): void {
    this.#leave();
    this.#channel.close(error);
  }

  /** For one on which nothing was sent: the other side ends it. */
  leave(): void {
    this.#leave();
    this.#socket.once('end', () => this.#socket.destroy());
  }

  destroy(): void {
    this.#end();
    this.#socket.destroy();
  }

  #taken(first: Buffer): void {
    if (this.#phase === 'closed') return;
    // Whoever is there knows nothing of lanes.
    if (first[0] !== takenByte) return void this.#socket.destroy();
    this.#socket.pause();
    if (first.length > 1) this.#socket.unshift(first.subarray(1));
    this.#open();
  }

  #open(): void {
    this.#phase = 'open';
    this.#owner.onOpen();
    if (this.#reads) this.#start();
  }

  #start(): void {
    this.#channel.open({
      onMessage: (message) => {
        this.#received += 1;
        if (this.#phase === 'open') this.#owner.onMessage(message);
      },
      onDrain: () => undefined,
      onClosed: (error) => this.#gone(error),
    });
    this.#socket.resume();
  }

  /** Of so many messages; as long as something comes there is time. */
  #await(count: number): void {
    this.#expected = count;
    const { bytesRead } = this.#socket;
    this.#waiting ??= this.#owner.clock.after(silenceMs, () => {
      this.#waiting = null;
      if (this.#received >= this.#expected) return;
      if (this.#socket.bytesRead > bytesRead) this.#await(this.#expected);
      else this.#socket.destroy();
    });
  }

  #leave(): void {
    this.#end();
    this.#socket.setTimeout(silenceMs, () => this.#socket.destroy());
    this.#socket.resume();
  }

  #end(): void {
    this.#phase = 'closed';
    this.#telling?.cancel();
    this.#waiting?.cancel();
  }

  #gone(error: Error | null): void {
    if (this.#phase === 'closed') return;
    this.#end();
    this.#owner.onClosed(error);
  }
}

function lost(): Error {
  return new Error('the lane was lost');
}
