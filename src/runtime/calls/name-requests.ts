import { encodeBody, readMake } from '../../wire/frames/frame-bodies.js';
import { readBody } from '../../wire/frames/frame-reader.js';
import { FrameKind } from '../../wire/frames/frames.js';
import type { ServerLink } from '../../wire/link/link-host.js';
import type { NameMaker } from '../instances/name-maker.js';

/** Beyond these a client is sent to a router, which has limits of its own. */
const maxOpen = 16_384;

/** The names that one client wants to have made here (S13). Each is answered: made, or ask a router. */
export class NameRequests {
  readonly #maker: Pick<NameMaker, 'check' | 'make'>;
  readonly #link: ServerLink;
  #open = 0;
  #isClosed = false;

  constructor(maker: Pick<NameMaker, 'check' | 'make'>, link: ServerLink) {
    this.#maker = maker;
    this.#link = link;
  }

  /** @throws InvalidArgument for a frame that breaks the protocol */
  onFrame(ref: number, frame: Buffer): void {
    const ask = readMake(readBody(frame));
    if (this.#open >= maxOpen) return this.#answer(FrameKind.Moved, ref);
    this.#open += 1;
    void this.#make(ref, ask).finally(() => (this.#open -= 1));
  }

  /** The client is gone: what is made by then stays, as after any request whose answer was lost. */
  close(): void {
    this.#isClosed = true;
  }

  async #make(ref: number, ask: ReturnType<typeof readMake>): Promise<void> {
    try {
      const grant = this.#maker.check(ask);
      this.#link.trust();
      const made = await this.#maker.make(ask, grant);
      this.#answer(FrameKind.Made, ref, encodeBody(made));
    } catch {
      // A router says what is wrong, or does it in its own way.
      this.#answer(FrameKind.Moved, ref);
    }
  }

  #answer(kind: FrameKind, ref: number, body?: Uint8Array): void {
    if (this.#isClosed) return;
    this.#link.writer.frame(kind, ref, 0, body);
    this.#link.flushSoon();
  }
}
