import type { Socket } from 'node:net';
import type { ClientDuplexStream, ServerDuplexStream } from '@grpc/grpc-js';
import { HoldfastError } from '../../common/errors.js';
import type { Channel, ChannelHandlers, SplitMessage } from '../../common/ports/channel.js';
import { decodeError, encodeError } from '../errors.js';
import { wholeMessage } from '../frames/split-message.js';
import { fromGrpcError, toGrpcError } from './grpc-errors.js';
import { type ChannelMessage, CloseNotice, LaneMark, LaneOffer } from './grpc-messages.js';
import { Lane } from './lane.js';
import type { Lanes } from './lanes.js';

/** One end of a bidi stream of the kind that grpc-js hands out. */
export type GrpcCall =
  | {
      readonly side: 'client';
      readonly stream: ClientDuplexStream<ChannelMessage, ChannelMessage>;
      /** Absent: all messages go on the stream. */
      readonly dialLane?: () => { readonly id: string; readonly socket: Socket };
    }
  | {
      readonly side: 'server';
      readonly stream: ServerDuplexStream<ChannelMessage, ChannelMessage>;
      readonly lanes?: Lanes | undefined;
    };

/** Bodies from here on go on the lane, where there is one; those that are longer than any that calls have do not. */
const leastLaneBytes = 16_384;
const mostLaneBytes = 1_048_576;
/** What waits for a body on the lane: then the stream is not read on. */
const mostBehindBytes = 4_194_304;
const entryBytes = 128;
const noBytes = new Uint8Array(0);

/** Where bytes of messages are that come on the stream, in its order. */
type Behind = Uint8Array | CloseNotice | LaneMark | 'end';

/**
 * A gRPC bidi stream as a channel. Messages that were under way when it closed with an error may be lost.
 *
 * I1. Messages leave and are handed over in the order of the stream, whatever part of them is on the lane.
 * I2. A channel whose lane loses bytes that the stream has announced is broken; one whose lane is lost otherwise does without.
 */
export class GrpcChannel implements Channel {
  readonly #call: GrpcCall;
  readonly #endpoint: string;
  readonly #released: () => void;
  #handlers: ChannelHandlers | null = null;
  /** `closing`: this side said so, `onClosed` is about to be called. */
  #phase: 'open' | 'closing' | 'closed' = 'open';
  #lane: Lane | null = null;
  #hasLane = false;
  #stopsAsking: () => void = () => undefined;
  /** Is not all there yet: the rest of it comes on the lane. */
  #filling: Buffer | null = null;
  /** Came after it. */
  #behind: Behind[] = [];
  #behindBytes = 0;
  #isFull = false;

  /**
   * @param endpoint the other side, for messages
   * @param released called when the stream needs its connection no more
   */
  constructor(call: GrpcCall, endpoint: string, released: () => void = () => undefined) {
    this.#call = call;
    this.#endpoint = endpoint;
    this.#released = released;
  }

  open(handlers: ChannelHandlers): void {
    this.#handlers = handlers;
    const { side, stream } = this.#call;
    stream.on('data', (message: ChannelMessage) => this.#onData(message));
    stream.on('drain', () => this.#onDrain());
    stream.on('error', (error) => this.#ended(fromGrpcError(error, this.#endpoint)));
    stream.on('end', () => this.#take('end'));
    if (side === 'client') {
      stream.on('status', () => this.#released());
      return;
    }
    stream.on('cancelled', () => this.#ended(this.#broken()));
    stream.on('close', () => {
      // Its end may wait behind a body.
      if (this.#filling === null) this.#ended(this.#broken());
    });
    // It may have ended while the caller was being authenticated.
    if (stream.cancelled) setImmediate(() => this.#ended(this.#broken()));
  }

  send(message: Uint8Array | SplitMessage): boolean {
    if (this.#phase !== 'open') return true;
    const isSplit = !(message instanceof Uint8Array);
    const body = isSplit ? message.tail : message;
    let flows: boolean;
    if (body.length < leastLaneBytes || body.length > mostLaneBytes || !this.#isLaneOpen()) {
      flows = this.#call.stream.write(message);
    } else {
      flows = this.#call.stream.write(new LaneMark(isSplit ? message.head : noBytes, body.length));
      this.#lane?.send(body);
    }
    // Stays so until one of them drains, whatever is sent meanwhile.
    if (!flows || this.#lane?.isFull === true) this.#isFull = true;
    return !this.#isFull;
  }

  close(error?: Error): void {
    if (this.#phase !== 'open') return;
    this.#phase = 'closing';
    const { side, stream } = this.#call;
    if (error !== undefined && side === 'server') {
      stream.emit('error', toGrpcError(error));
    } else {
      if (error !== undefined) stream.write(new CloseNotice(encodeError(error)));
      stream.end();
    }
    this.#lane?.close();
    setImmediate(() => this.#closed(error ?? null));
  }

  /** Of a client: dials one where there was none, for the messages after this one. */
  #isLaneOpen(): boolean {
    if (this.#lane === null && !this.#hasLane) this.#dial();
    return this.#lane?.isOpen === true;
  }

  #dial(): void {
    if (this.#call.side === 'server' || this.#call.dialLane === undefined) return;
    const { id, socket } = this.#call.dialLane();
    this.#call.stream.write(new LaneOffer(id));
    this.#useLane(socket, 'dialed');
  }

  #useLane(socket: Socket, phase: 'dialed' | 'open'): void {
    if (this.#phase !== 'open') return void socket.destroy();
    this.#hasLane = true;
    this.#lane = new Lane(socket, phase, {
      onFilled: () => this.#onFilled(),
      onDrain: () => this.#onDrain(),
      onGone: () => {
        if (this.#filling !== null) this.#ended(this.#broken());
        else this.#onDrain();
      },
    });
  }

  #onDrain(): void {
    const { stream } = this.#call;
    if (this.#phase !== 'open' || !this.#isFull || stream.writableNeedDrain || this.#lane?.isFull) return;
    this.#isFull = false;
    this.#handlers?.onDrain();
  }

  #onData(message: ChannelMessage): void {
    if (this.#phase !== 'open') return;
    if (message instanceof LaneOffer) {
      if (this.#call.side === 'server' && !this.#hasLane) this.#ask(message.id, this.#call.lanes);
    } else if (message instanceof CloseNotice || message instanceof LaneMark) {
      this.#take(message);
    } else {
      this.#take(wholeMessage(message));
    }
  }

  #ask(id: string, lanes: Lanes | undefined): void {
    this.#hasLane = true;
    this.#stopsAsking = lanes?.ask(id, (socket) => this.#useLane(socket, 'open')) ?? this.#stopsAsking;
  }

  /** In its turn. */
  #take(message: Behind): void {
    if (this.#filling === null) return this.#handOver(message);
    this.#behind.push(message);
    this.#behindBytes += sizeOf(message);
    if (this.#behindBytes > mostBehindBytes) this.#call.stream.pause();
  }

  #handOver(message: Behind): void {
    if (this.#phase !== 'open') return;
    if (message === 'end') return this.#ended(null);
    if (message instanceof CloseNotice) return this.#ended(decodeError(message.error));
    if (message instanceof LaneMark) return this.#fill(message);
    // A client that is sent long bodies wants a lane for them.
    if (message.length >= leastLaneBytes && !this.#hasLane) this.#dial();
    this.#handlers?.onMessage(message);
  }

  #fill({ head, laneBytes }: LaneMark): void {
    if (this.#lane === null || laneBytes > mostLaneBytes) return this.#ended(this.#broken());
    const whole = Buffer.allocUnsafeSlow(head.length + laneBytes);
    whole.set(head);
    if (this.#lane.fill(whole, head.length)) return this.#handlers?.onMessage(whole);
    if (this.#lane.isGone) return this.#ended(this.#broken());
    this.#filling = whole;
  }

  #onFilled(): void {
    const whole = this.#filling;
    if (whole === null || this.#phase !== 'open') return;
    this.#filling = null;
    this.#handlers?.onMessage(whole);
    while (this.#filling === null && this.#behind.length > 0) {
      const next = this.#behind.shift() as Behind;
      this.#behindBytes -= sizeOf(next);
      this.#handOver(next);
    }
    if (this.#behindBytes <= mostBehindBytes) this.#call.stream.resume();
  }

  /** By the other side or by the connection; what happens after our own `close` is its echo. */
  #ended(error: Error | null): void {
    if (this.#phase !== 'open') return;
    // A client that has ended its half waits for the server's status.
    this.#call.stream.end();
    if (error === null) this.#lane?.close();
    else this.#lane?.destroy();
    this.#closed(error);
  }

  #closed(error: Error | null): void {
    this.#phase = 'closed';
    this.#stopsAsking();
    this.#behind = [];
    this.#handlers?.onClosed(error);
  }

  #broken(): HoldfastError {
    return new HoldfastError('Unavailable', `the stream of ${this.#endpoint} broke`, { outcome: 'unknown' });
  }
}

/** About what one takes that waits: also of those without bytes there may be only so many. */
function sizeOf(message: Behind): number {
  if (message instanceof Uint8Array) return entryBytes + message.length;
  return entryBytes + (message instanceof LaneMark ? message.head.length : 0);
}
