import type { Clock } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import type { Channel, ChannelHandlers, SplitMessage, Transport } from '../../common/ports/channel.js';
import { decodeError, encodeError } from '../../wire/errors.js';
import { encodeBody } from '../../wire/frames/frame-bodies.js';
import type { FrameStream } from '../../wire/frames/frame-stream.js';
import { FrameKind, type UnaryBody } from '../../wire/frames/frames.js';
import { wholeMessage } from '../../wire/frames/split-message.js';
import { TunnelObjects } from './tunnel-objects.js';

const empty = new Uint8Array(0);

interface Request {
  readonly resolve: (answer: Uint8Array) => void;
  readonly reject: (error: unknown) => void;
}

/** How the SDK inside a container reaches routers and workers: through its own worker, which dials for it (C12). */
export class TunnelTransport implements Transport {
  readonly objects: TunnelObjects;
  readonly #stream: FrameStream;
  readonly #clock: Clock;
  readonly #tunnels = new Map<number, Tunnel>();
  readonly #requests = new Map<number, Request>();
  #lastRef = 0;
  #isClosed = false;

  constructor(stream: FrameStream, clock: Clock) {
    this.#stream = stream;
    this.#clock = clock;
    this.objects = new TunnelObjects(this.unary.bind(this), clock);
  }

  openRouter(): Channel {
    return this.#dial('');
  }

  openWorker(address: string): Channel {
    return this.#dial(address);
  }

  unary(
    method: string,
    request: Uint8Array,
    { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal?: AbortSignal },
  ): Promise<Uint8Array> {
    if (this.#isClosed) return Promise.reject(workerGone());
    if (signal?.aborted) return Promise.reject(signal.reason as Error);
    const ref = ++this.#lastRef;
    const body: UnaryBody = { method, request, timeoutMs };
    return new Promise((resolve, reject) => {
      const settled = (settle: () => void): void => {
        if (!this.#requests.delete(ref)) return;
        timer.cancel();
        signal?.removeEventListener('abort', onAbort);
        settle();
      };
      const onAbort = (): void => settled(() => reject(signal?.reason));
      const timer = this.#clock.after(timeoutMs, () => settled(() => reject(noAnswer(method, timeoutMs))));
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#requests.set(ref, {
        resolve: (answer) => settled(() => resolve(answer)),
        reject: (error) => settled(() => reject(error)),
      });
      this.#stream.writer.frame(FrameKind.Unary, ref, 0, encodeBody(body));
      this.#stream.flushNow();
    });
  }

  /** Ends what is open; the socket itself belongs to the container. */
  async close(): Promise<void> {
    this.#end(null);
  }

  /**
   * A frame of the worker for one of the tunnels or requests; those of ended ones are dropped.
   * @param body good until this returns: who gets it may keep it, so it is copied
   */
  onFrame(kind: FrameKind, ref: number, body: Buffer): void {
    switch (kind) {
      case FrameKind.TunnelData:
        this.#tunnels.get(ref)?.onMessage(Buffer.from(body));
        return;
      case FrameKind.TunnelClose:
        this.#tunnels.get(ref)?.end(body.length === 0 ? null : decodeError(body));
        return;
      case FrameKind.UnaryReply:
        if (body[0] === 1) this.#requests.get(ref)?.resolve(Buffer.from(body.subarray(1)));
        else this.#requests.get(ref)?.reject(decodeError(body.subarray(1)));
        return;
      default:
        throw new HoldfastError('InvalidArgument', `a worker must not send frames of kind ${kind} to a container`);
    }
  }

  onDrain(): void {
    for (const tunnel of this.#tunnels.values()) tunnel.onDrain();
  }

  /** The socket is gone, and the worker with it. */
  onClosed(): void {
    this.#end(workerGone());
  }

  #dial(address: string): Channel {
    const ref = ++this.#lastRef;
    const tunnel = new Tunnel(this.#stream, ref, () => this.#tunnels.delete(ref));
    if (this.#isClosed) {
      tunnel.end(workerGone());
      return tunnel;
    }
    this.#tunnels.set(ref, tunnel);
    this.#stream.writer.frame(FrameKind.TunnelOpen, ref, 0, Buffer.from(address, 'utf8'));
    this.#stream.flushNow();
    return tunnel;
  }

  #end(error: HoldfastError | null): void {
    this.#isClosed = true;
    for (const tunnel of [...this.#tunnels.values()]) {
      if (error === null) tunnel.close();
      else tunnel.end(error);
    }
    for (const request of [...this.#requests.values()]) request.reject(error ?? workerGone());
  }
}

/** One channel through the container's socket. */
class Tunnel implements Channel {
  readonly #stream: FrameStream;
  readonly #ref: number;
  readonly #forget: () => void;
  #handlers: ChannelHandlers | null = null;
  #isEnded = false;

  constructor(stream: FrameStream, ref: number, forget: () => void) {
    this.#stream = stream;
    this.#ref = ref;
    this.#forget = forget;
  }

  open(handlers: ChannelHandlers): void {
    this.#handlers = handlers;
  }

  send(message: Uint8Array | SplitMessage): boolean {
    if (this.#isEnded) return true;
    this.#stream.writer.frame(FrameKind.TunnelData, this.#ref, 0, wholeMessage(message));
    this.#stream.flushNow();
    return !this.#stream.isBlocked;
  }

  close(error?: Error): void {
    if (this.#isEnded) return;
    this.#stream.writer.frame(FrameKind.TunnelClose, this.#ref, 0, error === undefined ? empty : encodeError(error));
    this.#stream.flushNow();
    this.end(null);
  }

  onMessage(body: Buffer): void {
    if (!this.#isEnded) this.#handlers?.onMessage(body);
  }

  onDrain(): void {
    this.#handlers?.onDrain();
  }

  /** Told in a later microtask: the one who closes, or opens on a dead socket, has not finished his own step. */
  end(error: Error | null): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#forget();
    queueMicrotask(() => this.#handlers?.onClosed(error));
  }
}

function workerGone(): HoldfastError {
  return new HoldfastError('Unavailable', 'the worker of this container is gone');
}

function noAnswer(method: string, timeoutMs: number): HoldfastError {
  return new HoldfastError('DeadlineExceeded', `the router did not answer ${method} within ${timeoutMs} ms`, {
    outcome: 'unknown',
    details: { method, timeoutMs },
  });
}
