import type { Socket } from 'node:net';
import type { ClientDuplexStream, ServerDuplexStream } from '@grpc/grpc-js';
import type { Clock } from '../../common/clock.js';
import { HoldfastError, isHoldfastError } from '../../common/errors.js';
import type { Channel, ChannelHandlers, SplitMessage } from '../../common/ports/channel.js';
import { decodeError, encodeError } from '../errors.js';
import { wholeMessage } from '../frames/split-message.js';
import { fromGrpcError, toGrpcError } from './grpc-errors.js';
import { type ChannelMessage, CloseNotice, LaneOffer, OnLane } from './grpc-messages.js';
import { Lane } from './lane.js';
import type { Lanes } from './lanes.js';

/** How a client comes by a lane. */
interface LaneDialer {
  readonly clock: Clock;
  dial(): { readonly id: string; readonly socket: Socket };
}

/** One end of a bidi stream of the kind that grpc-js hands out. */
export type GrpcCall =
  | {
      readonly side: 'client';
      readonly stream: ClientDuplexStream<ChannelMessage, ChannelMessage>;
      /** Absent: all messages go on the stream. */
      readonly lane?: LaneDialer | undefined;
    }
  | {
      readonly side: 'server';
      readonly stream: ServerDuplexStream<ChannelMessage, ChannelMessage>;
      readonly lanes?: Lanes | undefined;
    };

/** A client that has sent so many, or a longer one, wants a lane. */
const messagesWithoutLane = 32;
const leastLaneBytes = 16_384;

/**
 * A gRPC bidi stream as a channel. Messages that were under way when it closed with an error may be lost.
 *
 * I1. Each side's messages are on the stream until it says there that the rest of them is on the lane: they are handed over in order.
 * I2. A channel whose lane is lost after either side has said so is broken; without a lane it goes on as it is.
 * I3. The stream tells whether the other side is there: the channel ends with it, also where messages are on the lane.
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
  /** What this side sends is on the lane. */
  #sendsOnLane = false;
  /** What the other side sends is on the lane. */
  #readsOnLane = false;
  #sent = 0;
  #stopsAsking: () => void = () => undefined;
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
    stream.on('end', () => this.#onEnd(null));
    if (side === 'client') {
      stream.on('status', () => this.#released());
      return;
    }
    stream.on('cancelled', () => this.#ended(this.#broken()));
    stream.on('close', () => this.#onEnd(this.#broken()));
    // It may have ended while the caller was being authenticated.
    if (stream.cancelled) setImmediate(() => this.#ended(this.#broken()));
  }

  send(message: Uint8Array | SplitMessage): boolean {
    if (this.#phase !== 'open') return true;
    const { stream } = this.#call;
    if (this.#sendsOnLane) {
      this.#lane?.send(message);
      if (this.#lane?.isFull === true) this.#isFull = true;
      return !this.#isFull;
    }
    this.#sent += 1;
    if (!this.#hasLane && (this.#sent > messagesWithoutLane || message.length >= leastLaneBytes)) this.#dial();
    // Stays so until it drains, whatever is sent meanwhile.
    if (!stream.write(message)) this.#isFull = true;
    return !this.#isFull;
  }

  close(error?: Error): void {
    if (this.#phase !== 'open') return;
    this.#phase = 'closing';
    const { side, stream } = this.#call;
    if (this.#sendsOnLane) this.#lane?.close(error);
    else this.#lane?.leave();
    if (error !== undefined && side === 'server') {
      stream.emit('error', toGrpcError(error));
    } else {
      if (error !== undefined && !this.#sendsOnLane) stream.write(new CloseNotice(encodeError(error)));
      stream.end();
    }
    setImmediate(() => this.#closed(error ?? null));
  }

  #dial(): void {
    if (this.#call.side === 'server' || this.#call.lane === undefined) return;
    const { clock, dial } = this.#call.lane;
    const { id, socket } = dial();
    this.#call.stream.write(new LaneOffer(id));
    this.#useLane(clock, socket, 'dialed');
  }

  #useLane(clock: Clock, socket: Socket, phase: 'dialed' | 'open'): void {
    if (this.#phase !== 'open') return void socket.destroy();
    this.#hasLane = true;
    this.#lane = new Lane(socket, phase, {
      clock,
      onOpen: () => this.#switch(),
      onMessage: (message) => {
        if (this.#phase === 'open') this.#handlers?.onMessage(message);
      },
      onDrain: () => this.#onDrain(),
      onSent: (count) => void this.#call.stream.write(new OnLane(count)),
      onClosed: (error) => {
        if (!this.#sendsOnLane && !this.#readsOnLane) return;
        this.#ended(error === null || isHoldfastError(error) ? error : this.#broken());
      },
    });
  }

  #switch(): void {
    if (this.#phase !== 'open') return;
    this.#call.stream.write(new OnLane(0));
    this.#sendsOnLane = true;
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
    } else if (message instanceof OnLane) {
      this.#onLane(message.count);
    } else if (message instanceof CloseNotice) {
      this.#ended(decodeError(message.error));
    } else {
      const whole = wholeMessage(message);
      // A client that is sent long bodies wants a lane for them.
      if (whole.length >= leastLaneBytes && !this.#hasLane) this.#dial();
      this.#handlers?.onMessage(whole);
    }
  }

  #onLane(count: number): void {
    if (this.#lane === null || this.#lane.isClosed) return this.#ended(this.#broken());
    if (!this.#readsOnLane) this.#lane.read();
    this.#readsOnLane = true;
    this.#lane.expect(count);
  }

  #ask(id: string, lanes: Lanes | undefined): void {
    this.#hasLane = true;
    if (lanes === undefined) return;
    this.#stopsAsking = lanes.ask(id, (socket) => this.#useLane(lanes.clock, socket, 'open'));
  }

  /** Of the stream; what is still on the lane comes before it. */
  #onEnd(error: Error | null): void {
    if (this.#phase === 'open' && this.#readsOnLane && this.#lane?.isClosed === false) this.#lane.expectEnd();
    else this.#ended(error);
  }

  /** By the other side or by the connection; what happens after our own `close` is its echo. */
  #ended(error: Error | null): void {
    if (this.#phase !== 'open') return;
    // A client that has ended its half waits for the server's status.
    this.#call.stream.end();
    if (error !== null || this.#lane?.isClosed === true) this.#lane?.destroy();
    else if (this.#sendsOnLane) this.#lane?.close();
    else this.#lane?.leave();
    this.#closed(error);
  }

  #closed(error: Error | null): void {
    this.#phase = 'closed';
    this.#stopsAsking();
    this.#handlers?.onClosed(error);
  }

  #broken(): HoldfastError {
    return new HoldfastError('Unavailable', `the stream of ${this.#endpoint} broke`, { outcome: 'unknown' });
  }
}
