import { HoldfastError } from '../../common/errors.js';
import type { Channel, ChannelHandlers, SplitMessage } from '../../common/ports/channel.js';
import { decodeError, encodeError } from '../errors.js';
import { wholeMessage } from '../frames/split-message.js';

export interface ChannelPair {
  readonly left: Channel;
  readonly right: Channel;
  /** Breaks both ends as a broken connection does: what is on its way is lost. */
  cut(): void;
}

const highWaterBytes = 1_048_576;

/**
 * Two ends in one process. Messages arrive in a later turn of the event loop, not copied.
 * @param schedule runs a task later, in order; the simulation has its own
 */
export function createChannelPair(schedule: (task: () => void) => void = setImmediate): ChannelPair {
  const left = new PairedChannel(schedule);
  const right = new PairedChannel(schedule);
  left.connect(right);
  right.connect(left);
  const cut = () => {
    left.cut();
    right.cut();
  };
  return { left, right, cut };
}

class PairedChannel implements Channel {
  readonly #schedule: (task: () => void) => void;
  #peer: PairedChannel | null = null;
  #handlers: ChannelHandlers | null = null;
  /** What the other end has sent, in order; then how it closed. */
  #inbox: Uint8Array[] = [];
  #inboxBytes = 0;
  #ending: { readonly error: Error | null } | null = null;
  #isDelivering = false;
  #isClosed = false;
  #owesDrain = false;

  constructor(schedule: (task: () => void) => void) {
    this.#schedule = schedule;
  }

  connect(peer: PairedChannel): void {
    this.#peer = peer;
  }

  open(handlers: ChannelHandlers): void {
    this.#handlers = handlers;
    this.#deliverLater();
  }

  send(message: Uint8Array | SplitMessage): boolean {
    const peer = this.#peer;
    if (this.#isClosed || this.#ending !== null || peer === null || peer.#isClosed) return true;
    peer.#inbox.push(wholeMessage(message));
    peer.#inboxBytes += message.length;
    peer.#deliverLater();
    this.#owesDrain ||= peer.#inboxBytes > highWaterBytes;
    return !this.#owesDrain;
  }

  close(error?: Error): void {
    if (this.#isClosed || this.#ending !== null) return;
    // As over a wire: the other side gets a copy of the error.
    const peer = this.#peer;
    if (peer !== null) peer.#end(error === undefined ? null : decodeError(encodeError(error)));
    this.#drop();
    this.#end(error ?? null);
  }

  cut(): void {
    this.#drop();
    this.#end(new HoldfastError('Unavailable', 'the connection broke', { outcome: 'unknown' }));
  }

  #drop(): void {
    this.#inbox = [];
    this.#inboxBytes = 0;
  }

  #end(error: Error | null): void {
    if (this.#isClosed || this.#ending !== null) return;
    this.#ending = { error };
    this.#deliverLater();
  }

  #deliverLater(): void {
    if (this.#isDelivering || this.#handlers === null) return;
    this.#isDelivering = true;
    this.#schedule(() => {
      this.#isDelivering = false;
      this.#deliver(this.#handlers as ChannelHandlers);
    });
  }

  #deliver(handlers: ChannelHandlers): void {
    const messages = this.#inbox;
    this.#drop();
    for (const message of messages) {
      // The reader may have closed, or been cut off, meanwhile.
      if (this.#isClosed) return;
      handlers.onMessage(message);
    }
    const peer = this.#peer;
    if (peer !== null) peer.#drained();
    const ending = this.#ending;
    if (ending === null || this.#isClosed) return;
    this.#isClosed = true;
    this.#drop();
    handlers.onClosed(ending.error);
  }

  #drained(): void {
    if (!this.#owesDrain) return;
    this.#owesDrain = false;
    if (!this.#isClosed && this.#ending === null) this.#handlers?.onDrain();
  }
}
