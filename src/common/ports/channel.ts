import type { ObjectMover } from './object-mover.js';

/**
 * A connection that carries whole messages in order, both ways: a gRPC bidi stream, a tunnel through a container's socket, or
 * a pair in one process. It may break at any time, and says so once.
 */
export interface Channel {
  /** Must be called once, in the same tick in which the channel was handed over. */
  open(handlers: ChannelHandlers): void;
  /**
   * False: the other side is slow; go on after `onDrain`. The bytes belong to the channel from here on. Does nothing when closed.
   * @param sent called when it does not read them any more, at once or later; a channel that keeps them never does
   */
  send(message: Uint8Array | SplitMessage, sent?: () => void): boolean;
  /** Idempotent; `onClosed` follows on both sides, here too. With an error the other side learns its code and message. */
  close(error?: Error): void;
}

/** A message in two pieces, of which the second is too long to be copied behind the first. */
export interface SplitMessage {
  readonly head: Uint8Array;
  readonly tail: Uint8Array;
  /** Of both. */
  readonly length: number;
}

export interface ChannelHandlers {
  onMessage(message: Uint8Array): void;
  onDrain(): void;
  /** Exactly once. Null: closed in order, by either side. */
  onClosed(error: Error | null): void;
}

/**
 * How a program reaches routers and workers: over gRPC, or from inside a container through its worker.
 */
export interface Transport {
  /** The batched stream of resolve, create, attach and close. */
  openRouter(): Channel;
  /** The data path of one worker. @param address `host:port`, as the router said */
  openWorker(address: string): Channel;
  /** One unary call of the router's service, by its name in the proto; messages encoded. @throws what the router answered, Unavailable, DeadlineExceeded */
  unary(
    method: string,
    request: Uint8Array,
    options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
  ): Promise<Uint8Array>;
  /** Where somebody else moves objects of volumes: inside a container its worker does. */
  readonly objects?: ObjectMover;
  close(): Promise<void>;
}
