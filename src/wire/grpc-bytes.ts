import type { ClientDuplexStream, ServerDuplexStream } from '@grpc/grpc-js';
import { HoldfastError } from '../common/errors.js';
import type { ByteStream } from '../common/ports/byte-stream.js';
import { fromGrpcError } from './grpc-errors.js';
import { encodePiece } from './grpc-messages.js';

/** Metadata of the call that says which bytes these are. */
export const ticketKey = 'holdfast-ticket';
/** Of one message; where more is written at once, more messages. */
const pieceBytes = 131_072;

type Side =
  | { readonly side: 'client'; readonly stream: ClientDuplexStream<Buffer, Uint8Array> }
  | { readonly side: 'server'; readonly stream: ServerDuplexStream<Uint8Array, Buffer> };

/** A gRPC bidi stream of bytes, whose errors are `HoldfastError`s. */
export class GrpcByteStream implements ByteStream {
  readonly #at: Side;
  readonly #endpoint: string;
  #failure: HoldfastError | null = null;
  /** Who waits for room. */
  #goOn: () => void = () => undefined;

  /** @param endpoint the other side, for messages */
  constructor(at: Side, endpoint: string) {
    this.#at = at;
    this.#endpoint = endpoint;
    const { stream } = at;
    stream.on('drain', () => this.#goOn());
    stream.on('error', (error) => this.#broke(fromGrpcError(error, endpoint)));
    if (at.side === 'server') at.stream.on('cancelled', () => this.#broke(this.#left()));
  }

  async write(bytes: Uint8Array): Promise<void> {
    const { stream } = this.#at;
    let isFull = false;
    for (let at = 0; at < bytes.length && this.#failure === null; at += pieceBytes) {
      isFull = !stream.write(encodePiece(bytes.subarray(at, at + pieceBytes)));
    }
    if (isFull && this.#failure === null) {
      await new Promise<void>((resolve) => {
        this.#goOn = resolve;
      });
    }
    if (this.#failure !== null) throw this.#failure;
  }

  end(): void {
    this.#at.stream.end();
  }

  async *read(): AsyncGenerator<Uint8Array, void, undefined> {
    let isOver = false;
    try {
      // Its end must not end the other way, where the answer to it goes.
      for await (const bytes of this.#at.stream.iterator({ destroyOnReturn: false })) yield bytes as Uint8Array;
      isOver = true;
    } catch (error) {
      isOver = true;
      throw this.#failure ?? fromGrpcError(error, this.#endpoint);
    } finally {
      // Of a worker's streams the outcome is what their server throws.
      if (!isOver && this.#at.side === 'client') this.cancel();
    }
    // One that breaks may end the bytes before it says so.
    if (this.#failure !== null) throw this.#failure;
  }

  cancel(): void {
    if (this.#at.side === 'client') this.#at.stream.cancel();
    else this.#at.stream.destroy();
  }

  #broke(failure: HoldfastError): void {
    this.#failure ??= failure;
    this.#goOn();
  }

  #left(): HoldfastError {
    return new HoldfastError('Cancelled', `the stream of ${this.#endpoint} was given up`, { outcome: 'unknown' });
  }
}
