import type { Socket } from 'node:net';
import type { Clock } from '../../common/clock.js';

/** Brings the lanes that clients have dialed together with the streams that they belong to, whichever comes first. */
export class Lanes {
  readonly clock: Clock;
  readonly #dialed = new Map<string, Socket>();
  readonly #asked = new Map<string, (socket: Socket) => void>();

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** A connection that says it is this lane. Of those that nobody asks for its owner gets rid. */
  arrived(id: string, socket: Socket): void {
    const take = this.#asked.get(id);
    if (take === undefined) {
      // It would wait for ever: whoever says that id now has it.
      this.#dialed.get(id)?.destroy();
      this.#dialed.set(id, socket);
      socket.once('close', () => this.#forget(id, socket));
      return;
    }
    this.#asked.delete(id);
    take(socket);
  }

  /** It waits for its stream. */
  isWaiting(socket: Socket, id: string): boolean {
    return this.#dialed.get(id) === socket;
  }

  /** A stream whose lane has this id, which only its client knows. Returns how it stops asking. */
  ask(id: string, take: (socket: Socket) => void): () => void {
    const dialed = this.#dialed.get(id);
    if (dialed !== undefined) {
      this.#dialed.delete(id);
      take(dialed);
      return () => undefined;
    }
    if (this.#asked.has(id)) return () => undefined;
    this.#asked.set(id, take);
    return () => {
      if (this.#asked.get(id) === take) this.#asked.delete(id);
    };
  }

  #forget(id: string, socket: Socket): void {
    if (this.#dialed.get(id) === socket) this.#dialed.delete(id);
  }
}
