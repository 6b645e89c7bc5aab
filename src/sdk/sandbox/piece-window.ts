import { isHoldfastError } from '../../common/errors.js';
import { inlinePayloadBytes } from '../../wire/frames/frames.js';

/**
 * So much of it travels with its call: what is larger comes on credit, and calls whose arguments do are begun when those are
 * there, in no order.
 */
export const pieceBytes = inlinePayloadBytes - 256;
const windowBytes = 4_194_304;

/**
 * Pieces on their way, each a call of its own; their answers are what paces the next ones.
 *
 * I1. Never more than the window is under way, or one piece that is larger.
 * I2. The first failure fails everything after it, with the same error.
 */
export class PieceWindow {
  readonly #send: (bytes: Uint8Array) => Promise<unknown>;
  #underwayBytes = 0;
  #failure: { readonly error: unknown } | null = null;
  #whenMoved: (() => void) | null = null;

  /** @param send takes the bytes before it returns */
  constructor(send: (bytes: Uint8Array) => Promise<unknown>) {
    this.#send = send;
  }

  /** Resolves when more is welcome. */
  async write(bytes: Uint8Array): Promise<void> {
    this.#check();
    this.#underwayBytes += bytes.length;
    this.#send(bytes).then(
      () => this.#landed(bytes.length, null),
      (error: unknown) => this.#landed(bytes.length, { error }),
    );
    while (this.#underwayBytes >= windowBytes) await this.#moved();
    this.#check();
  }

  /** Resolves when all of it has landed. */
  async flushed(): Promise<void> {
    while (this.#underwayBytes > 0) await this.#moved();
    this.#check();
  }

  #landed(bytes: number, failure: { readonly error: unknown } | null): void {
    this.#underwayBytes -= bytes;
    // One that was refused because of another's failure says less than that.
    if (this.#failure === null || isHoldfastError(this.#failure.error, 'NotFound'))
      this.#failure = failure ?? this.#failure;
    this.#whenMoved?.();
  }

  #moved(): Promise<void> {
    return new Promise((resolve) => {
      this.#whenMoved = resolve;
    });
  }

  #check(): void {
    if (this.#failure !== null) throw this.#failure.error;
  }
}
