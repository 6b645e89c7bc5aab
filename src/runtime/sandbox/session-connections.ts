import type { Duplex } from 'node:stream';
import { currentCallContext } from '../../common/context.js';
import { HoldfastError } from '../../common/errors.js';
import type { Guest } from '../../common/ports/guest.js';
import { checkedBytes, checkedPort } from './call-checks.js';

/** Connections from clients to ports inside. */
export class SessionConnections {
  readonly #guest: Guest;
  readonly #open = new Map<number, Duplex>();
  #last = 0;

  constructor(guest: Guest) {
    this.#guest = guest;
  }

  /** Open as long as it is read. @throws Unavailable where nobody listens */
  async *connect(port: unknown): AsyncGenerator<{ readonly id: number } | Uint8Array, void, undefined> {
    const { signal } = currentCallContext();
    const connection = await this.#guest.connect(checkedPort(port));
    connection.on('error', () => {
      // Whoever reads or writes it is told.
    });
    const id = ++this.#last;
    this.#open.set(id, connection);
    const leave = (): void => void connection.destroy();
    signal.addEventListener('abort', leave, { once: true });
    try {
      yield { id };
      if (signal.aborted) return;
      // Its end is that of one direction.
      yield* connection.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>;
      // An empty piece is the end of this direction; the other one may still be open.
      yield new Uint8Array(0);
      if (!connection.writableFinished) await ended(connection, signal);
    } catch (e) {
      signal.throwIfAborted();
      throw new HoldfastError('StreamLost', `the connection to port ${port} broke`, { outcome: 'ran', cause: e });
    } finally {
      signal.removeEventListener('abort', leave);
      this.#open.delete(id);
      connection.destroy();
    }
  }

  async send(id: unknown, bytes: unknown): Promise<void> {
    const connection = this.#at(id);
    if (connection.write(checkedBytes(bytes))) return;
    await moved(connection);
  }

  sendEnd(id: unknown): void {
    this.#at(id).end();
  }

  #at(id: unknown): Duplex {
    const connection = this.#open.get(id as number);
    if (connection !== undefined && !connection.destroyed) return connection;
    throw new HoldfastError('NotFound', `there is no connection ${id} any more`);
  }
}

/** Until it takes more, or is gone. */
function moved(connection: Duplex): Promise<void> {
  return once(connection, ['drain', 'close']);
}

function ended(connection: Duplex, signal: AbortSignal): Promise<void> {
  if (connection.destroyed || signal.aborted) return Promise.resolve();
  return once(connection, ['finish', 'close']);
}

function once(connection: Duplex, events: readonly string[]): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      for (const event of events) connection.off(event, done);
      resolve();
    };
    for (const event of events) connection.on(event, done);
    if (connection.destroyed) done();
  });
}
