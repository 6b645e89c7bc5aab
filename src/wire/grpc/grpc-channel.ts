import type { ClientDuplexStream, ServerDuplexStream } from '@grpc/grpc-js';
import { HoldfastError } from '../../common/errors.js';
import type { Channel, ChannelHandlers, SplitMessage } from '../../common/ports/channel.js';
import { decodeError, encodeError } from '../errors.js';
import { wholeMessage } from '../frames/split-message.js';
import { fromGrpcError, toGrpcError } from './grpc-errors.js';
import { type ChannelMessage, CloseNotice } from './grpc-messages.js';

/** One end of a bidi stream of the kind that grpc-js hands out. */
export type GrpcCall =
  | { readonly side: 'client'; readonly stream: ClientDuplexStream<ChannelMessage, ChannelMessage> }
  | { readonly side: 'server'; readonly stream: ServerDuplexStream<ChannelMessage, ChannelMessage> };

/** A gRPC bidi stream as a channel. Messages that were under way when it closed with an error may be lost. */
export class GrpcChannel implements Channel {
  readonly #call: GrpcCall;
  readonly #endpoint: string;
  readonly #released: () => void;
  #handlers: ChannelHandlers | null = null;
  /** `closing`: this side said so, `onClosed` is about to be called. */
  #phase: 'open' | 'closing' | 'closed' = 'open';

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
    stream.on('data', (message: ChannelMessage) => this.#onMessage(message));
    stream.on('drain', () => {
      if (this.#phase === 'open') handlers.onDrain();
    });
    stream.on('error', (error) => this.#ended(fromGrpcError(error, this.#endpoint)));
    stream.on('end', () => this.#ended(null));
    if (side === 'client') {
      stream.on('status', () => this.#released());
      return;
    }
    stream.on('cancelled', () => this.#ended(this.#broken()));
    stream.on('close', () => this.#ended(this.#broken()));
    // It may have ended while the caller was being authenticated.
    if (stream.cancelled) setImmediate(() => this.#ended(this.#broken()));
  }

  send(message: Uint8Array | SplitMessage): boolean {
    return this.#phase !== 'open' || this.#call.stream.write(message);
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
    setImmediate(() => this.#closed(error ?? null));
  }

  #onMessage(message: ChannelMessage): void {
    if (this.#phase !== 'open') return;
    if (message instanceof CloseNotice) this.#ended(decodeError(message.error));
    else this.#handlers?.onMessage(wholeMessage(message));
  }

  /** By the other side or by the connection; what happens after our own `close` is its echo. */
  #ended(error: Error | null): void {
    if (this.#phase !== 'open') return;
    // A client that has ended its half waits for the server's status.
    this.#call.stream.end();
    this.#closed(error);
  }

  #closed(error: Error | null): void {
    this.#phase = 'closed';
    this.#handlers?.onClosed(error);
  }

  #broken(): HoldfastError {
    return new HoldfastError('Unavailable', `the stream of ${this.#endpoint} broke`, { outcome: 'unknown' });
  }
}
