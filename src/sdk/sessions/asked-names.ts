import { encodeBody, readMade } from '../../wire/frames/frame-bodies.js';
import { readBody } from '../../wire/frames/frame-reader.js';
import { FrameKind, type MadeBody, type MakeBody } from '../../wire/frames/frames.js';
import type { ClientLink } from '../../wire/link/link.js';

/** Null: it was not made there, as far as is known; a router knows what is there. The slot is whose name it is, where it was made. */
export type NameAnswered = (made: MadeBody | null, slot: number) => void;

interface Asked {
  readonly ref: number;
  readonly slot: number;
  readonly body: MakeBody;
  readonly answered: NameAnswered;
}

/** Names that one worker is to make (S13), until each is answered or given up. */
export class AskedNames {
  readonly #unbind: (slot: number) => void;
  readonly #asked = new Map<number, Asked>();

  /** @param unbind of a slot that names nothing after all */
  constructor(unbind: (slot: number) => void) {
    this.#unbind = unbind;
  }

  /** Gives what takes the question back. @param link null: it is lost, or full */
  ask(link: ClientLink | null, asked: Asked): () => void {
    const { ref, slot, body } = asked;
    this.#asked.set(ref, asked);
    if (link === null) {
      // Later, as every answer: who asks is not ready for it yet.
      queueMicrotask(() => this.#settle(ref, null));
    } else {
      link.writer.frame(FrameKind.Make, ref, slot, encodeBody(body));
      if (this.#asked.size === 1) link.flushThisTick();
      else link.flushSoon();
    }
    return () => {
      if (this.#asked.delete(ref)) this.#unbind(slot);
    };
  }

  /** From the link; frames for others are dropped. */
  onFrame(kind: FrameKind, ref: number, frame: Buffer): void {
    if (this.#asked.has(ref)) this.#settle(ref, kind === FrameKind.Made ? madeOf(frame) : null);
  }

  /** The worker cannot be reached. */
  end(): void {
    for (const ref of [...this.#asked.keys()]) this.#settle(ref, null);
  }

  #settle(ref: number, made: MadeBody | null): void {
    const asked = this.#asked.get(ref);
    if (asked === undefined) return;
    this.#asked.delete(ref);
    if (made === null) this.#unbind(asked.slot);
    asked.answered(made, asked.slot);
  }
}

/** An answer that breaks the protocol costs its own name only. */
function madeOf(frame: Buffer): MadeBody | null {
  try {
    return readMade(readBody(frame));
  } catch {
    return null;
  }
}
