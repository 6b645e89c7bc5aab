import type { SplitMessage } from '../../common/ports/channel.js';

/** Frames of which the last one's body is not copied behind them. */
export class SplitBatch implements SplitMessage {
  readonly head: Buffer;
  readonly tail: Uint8Array;
  readonly length: number;

  constructor(head: Buffer, tail: Uint8Array) {
    this.head = head;
    this.tail = tail;
    this.length = head.length + tail.length;
  }
}

/** In one piece; a copy where it was not. */
export function wholeMessage(message: Uint8Array | SplitMessage): Uint8Array {
  return message instanceof Uint8Array ? message : Buffer.concat([message.head, message.tail], message.length);
}
