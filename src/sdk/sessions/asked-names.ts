import { encodeBody, readMade } from '../../wire/frames/frame-bodies.js';
import { readBody } from '../../wire/frames/frame-reader.js';
import { FrameKind, type MadeBody, type MakeBody } from '../../wire/frames/frames.js';
import type { ClientLink } from '../../wire/link/link.js';

/** Null: it was not made there, as far as is known; a router knows what is there. */
type Answered = (made: MadeBody | null) => void;

/** Names that one worker is to make (S13), until each is answered or given up. */
export class AskedNames {
  readonly #asked = new Map<number, Answered>();

  ask(
    link: ClientLink,
    ref: number,
    { body, answered }: { readonly body: MakeBody; readonly answered: Answered },
  ): void {
    this.#asked.set(ref, answered);
    link.writer.frame(FrameKind.Make, ref, 0, encodeBody(body));
    if (this.#asked.size === 1) link.flushThisTick();
    else link.flushSoon();
  }

  /** Nobody waits for it any more. */
  forget(ref: number): void {
    this.#asked.delete(ref);
  }

  /** From the link; frames for others are dropped. */
  onFrame(kind: FrameKind, ref: number, frame: Buffer): void {
    const answered = this.#asked.get(ref);
    if (answered === undefined) return;
    this.#asked.delete(ref);
    answered(kind === FrameKind.Made ? madeOf(frame) : null);
  }

  /** The worker cannot be reached. */
  end(): void {
    const asked = [...this.#asked.values()];
    this.#asked.clear();
    for (const answered of asked) answered(null);
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
