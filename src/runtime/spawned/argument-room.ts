import { HoldfastError } from '../../common/errors.js';

/** Of one client. */
const mostOfClientBytes = 67_108_864;
/** Of all clients of a worker. */
const mostOfWorkerBytes = 268_435_456;
const retryAfterMs = 100;

/** What is held for calls that are not admitted yet, in bytes: what comes after that the limits of instances bound (C1). */
export class ArgumentRoom {
  readonly #mostBytes: number;
  readonly #whose: string;
  readonly #within: ArgumentRoom | null;
  #takenBytes = 0;

  static ofWorker(): ArgumentRoom {
    return new ArgumentRoom('the clients of this worker', mostOfWorkerBytes, null);
  }

  private constructor(whose: string, mostBytes: number, within: ArgumentRoom | null) {
    this.#whose = whose;
    this.#mostBytes = mostBytes;
    this.#within = within;
  }

  /** A part of it: one client alone does not keep others from spawning. */
  ofClient(): ArgumentRoom {
    return new ArgumentRoom('this client', mostOfClientBytes, this);
  }

  /** @throws PendingLimitExceeded */
  take(bytes: number): void {
    if (this.#takenBytes + bytes > this.#mostBytes) throw this.#full(bytes);
    this.#within?.take(bytes);
    this.#takenBytes += bytes;
  }

  give(bytes: number): void {
    this.#takenBytes -= bytes;
    this.#within?.give(bytes);
  }

  #full(bytes: number): HoldfastError {
    const [limit, pending] = [this.#mostBytes, this.#takenBytes];
    const message = `calls that ${this.#whose} spawned and that are not admitted yet hold ${pending} bytes of arguments, ${bytes} more do not fit into ${limit}; spawn fewer at once, or again in ${retryAfterMs} ms`;
    return new HoldfastError('PendingLimitExceeded', message, { details: { limit, pending, bytes, retryAfterMs } });
  }
}
