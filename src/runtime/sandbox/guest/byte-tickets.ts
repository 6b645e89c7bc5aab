import type { Random } from '../../../common/clock.js';
import { HoldfastError } from '../../../common/errors.js';
import type { ByteStream } from '../../../common/ports/byte-stream.js';

/** Reads and writes one stream; it is over when this is. */
type Serve = (stream: ByteStream) => Promise<void>;

const ticketBytes = 16;

/**
 * The streams of bytes that this boot of a worker waits for. A call that moves many bytes answers a ticket, and the bytes come
 * or go on a stream of their own.
 *
 * I1. A ticket is good for one stream, while the call that answered it is read.
 * I2. Nothing is written for a boot that is over (S7).
 */
export class ByteTickets {
  readonly #random: Random;
  readonly #mayRun: () => boolean;
  readonly #waiting = new Map<string, Serve>();

  constructor({ random, mayRun }: { readonly random: Random; readonly mayRun: () => boolean }) {
    this.#random = random;
    this.#mayRun = mayRun;
  }

  issue(serve: Serve): { readonly ticket: string; readonly withdraw: () => void } {
    const ticket = Buffer.from(this.#random.bytes(ticketBytes)).toString('hex');
    this.#waiting.set(ticket, serve);
    return { ticket, withdraw: () => void this.#waiting.delete(ticket) };
  }

  /** @throws PermissionDenied for a ticket that nobody waits for, and what its server throws */
  async serve(ticket: string, stream: ByteStream): Promise<void> {
    const serve = this.#waiting.get(ticket);
    this.#waiting.delete(ticket);
    if (serve === undefined) {
      throw new HoldfastError('PermissionDenied', 'these bytes need a ticket that has not been used; ask for it again');
    }
    await serve({
      read: () => stream.read(),
      end: () => stream.end(),
      cancel: () => stream.cancel(),
      write: async (bytes) => {
        if (this.#mayRun()) return await stream.write(bytes);
        throw new HoldfastError('Unavailable', 'this boot of the worker is over', { retryable: true });
      },
    });
  }
}
