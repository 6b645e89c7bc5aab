import { guestBroke } from './guest-errors.js';
import { GuestRequest, guestChunkBytes, guestWindowBytes } from './guest-frames.js';
import type { GuestLink } from './guest-link.js';

interface Piece {
  /** Not sent yet. */
  bytes: Uint8Array;
  /** Parts of it that the link still has. */
  underway: number;
  isOver: boolean;
  failure: Error | null;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/**
 * Data to the guest for one ref, as far as its credit and the socket allow, in order.
 *
 * I1. A write is over when nothing of it is looked at any more: its bytes are the writer's again.
 */
export class GuestSender {
  readonly #link: GuestLink;
  readonly #ref: number;
  readonly #pieces: Piece[] = [];
  #credit = guestWindowBytes;
  #isEnding = false;
  #isOver = false;
  #failure: Error | null = null;
  #isWaiting = false;

  constructor(link: GuestLink, ref: number) {
    this.#link = link;
    this.#ref = ref;
  }

  /** Resolves when all of it has been written, or will not be. After the end: at once, into nothing, unless it has failed. */
  write(bytes: Uint8Array): Promise<void> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    if (this.#isOver || this.#isEnding || bytes.length === 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#pieces.push({ bytes, underway: 0, isOver: false, failure: null, resolve, reject });
      this.#send();
    });
  }

  /** After what was written. */
  end(): void {
    if (this.#isEnding) return;
    this.#isEnding = true;
    this.#send();
  }

  /** Of a Credit. @throws Unavailable where it is more than was used */
  onCredit(body: Buffer): void {
    if (body.length !== 4) throw guestBroke('a credit is malformed');
    const bytes = body.readUInt32LE(0);
    if (bytes === 0 || this.#credit + bytes > guestWindowBytes) throw guestBroke('it gives more credit than it may');
    this.#credit += bytes;
    this.#send();
  }

  /** Nobody takes it any more: what waits is dropped; with an error its writers learn it. */
  stop(failure: Error | null): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#failure = failure;
    for (const piece of this.#pieces.splice(0)) {
      piece.failure = failure;
      finish(piece);
    }
  }

  #send(): void {
    if (this.#isOver) return;
    while (this.#pieces.length > 0) {
      if (this.#credit === 0) return;
      if (this.#link.isFull) return this.#wait();
      this.#sendPart(this.#pieces[0] as Piece);
    }
    if (!this.#isEnding) return;
    this.#isOver = true;
    this.#link.send(GuestRequest.End, this.#ref);
  }

  #sendPart(piece: Piece): void {
    const part = piece.bytes.subarray(0, Math.min(this.#credit, guestChunkBytes));
    piece.bytes = piece.bytes.subarray(part.length);
    this.#credit -= part.length;
    piece.underway += 1;
    this.#link.sendData(this.#ref, part, () => {
      piece.underway -= 1;
      settle(piece);
    });
    if (piece.bytes.length > 0) return;
    this.#pieces.shift();
    finish(piece);
  }

  #wait(): void {
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    this.#link.whenDrained(() => {
      this.#isWaiting = false;
      this.#send();
    });
  }
}

/** Nothing more of it will be sent. */
function finish(piece: Piece): void {
  piece.isOver = true;
  settle(piece);
}

function settle({ underway, isOver, failure, resolve, reject }: Piece): void {
  if (underway > 0 || !isOver) return;
  if (failure === null) resolve();
  else reject(failure);
}
