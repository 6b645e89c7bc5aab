import { MessageChannel } from 'node:worker_threads';

/**
 * Keeps the process alive while something is in flight. Idle connections do not (the transport leaves its sockets
 * unreferenced), so a program ends by itself when it waits for nothing.
 */
export class KeepAlive {
  readonly #port = new MessageChannel().port1;
  #count = 0;

  constructor() {
    this.#port.unref();
  }

  enter(): void {
    this.#count += 1;
    if (this.#count === 1) this.#port.ref();
  }

  leave(): void {
    this.#count -= 1;
    if (this.#count === 0) this.#port.unref();
  }

  /** Holds the process until `work` is settled. */
  async during<T>(work: Promise<T>): Promise<T> {
    this.enter();
    try {
      return await work;
    } finally {
      this.leave();
    }
  }

  close(): void {
    this.#port.close();
  }
}
