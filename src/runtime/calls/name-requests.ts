import type { Epoch, InstanceKey } from '../../common/ids.js';
import { encodeBody, readMake } from '../../wire/frames/frame-bodies.js';
import { readBody } from '../../wire/frames/frame-reader.js';
import { FrameKind, type MadeBody, type MakeBody } from '../../wire/frames/frames.js';
import type { Grant } from '../../wire/grant.js';
import type { ServerLink } from '../../wire/link/link-host.js';
import type { NameMaker } from '../instances/name-maker.js';

/** Beyond these a client is sent to a router, which has limits of its own. */
const maxOpen = 16_384;

/** The slots of its session. */
export interface NameSlots {
  /** It names nothing until the name is made. Gives what fills it, unless the client has named something else by it meanwhile. */
  hold(slot: number): (key: InstanceKey, epoch: Epoch) => void;
}

/** One that is being made. */
interface Asked {
  readonly ref: number;
  readonly ask: MakeBody;
  readonly grant: Grant;
  readonly fill: ReturnType<NameSlots['hold']>;
}

/** The names that one client wants to have made here (S13). Each is answered: made, or ask a router. */
export class NameRequests {
  readonly #maker: Pick<NameMaker, 'check' | 'make'>;
  readonly #link: ServerLink;
  readonly #slots: NameSlots;
  #open = 0;
  #isClosed = false;

  constructor(maker: Pick<NameMaker, 'check' | 'make'>, link: ServerLink, slots: NameSlots) {
    this.#maker = maker;
    this.#link = link;
    this.#slots = slots;
  }

  /** @throws InvalidArgument for a frame that breaks the protocol */
  onFrame(ref: number, slot: number, frame: Buffer): void {
    const ask = readMake(readBody(frame));
    const grant = this.#open < maxOpen ? this.#grantOf(ask) : null;
    if (grant === null) return this.#answer(ref, null);
    this.#link.trust();
    this.#open += 1;
    void this.#make({ ref, ask, grant, fill: this.#slots.hold(slot) });
  }

  /** The client is gone: what is made by then stays, as after any request whose answer was lost. */
  close(): void {
    this.#isClosed = true;
  }

  /** Null: it is not good. */
  #grantOf(ask: MakeBody): Grant | null {
    try {
      return this.#maker.check(ask);
    } catch {
      return null;
    }
  }

  async #make({ ref, ask, grant, fill }: Asked): Promise<void> {
    // A router says what is wrong, or does it in its own way.
    const made = await this.#maker.make(ask, grant).catch(() => null);
    this.#open -= 1;
    if (made !== null) fill(made.key as InstanceKey, made.epoch);
    this.#answer(ref, made);
  }

  /** The last one that is waited for goes out at once, with those before it. */
  #answer(ref: number, made: MadeBody | null): void {
    if (this.#isClosed) return;
    if (made === null) this.#link.writer.frame(FrameKind.Moved, ref, 0);
    else this.#link.writer.frame(FrameKind.Made, ref, 0, encodeBody(made));
    if (this.#open === 0) this.#link.flushNow();
    else this.#link.flushSoon();
  }
}
