import type { Clock, Timer } from '../../common/clock.js';
import { HoldfastError, isHoldfastError } from '../../common/errors.js';
import type { Channel } from '../../common/ports/channel.js';
import type { FrameWriter } from '../frames/frame-writer.js';
import type { FrameKind } from '../frames/frames.js';
import { LinkEnd } from './link-end.js';
import { bye, decodeWelcome, encodeHello, LinkMessage } from './link-messages.js';

export interface ClientLinkOptions {
  /** A fresh channel to the worker; may throw. */
  readonly open: () => Channel;
  readonly clientId: string;
  /** A secret that nobody can guess, fresh for each link. */
  readonly linkId: string;
  /** 1 and up, rising with each link of this client to this worker: it fences the one before (C7). */
  readonly stream: number;
  readonly clock: Clock;
  readonly onFrame: (kind: FrameKind, ref: number, slot: number, frame: Buffer) => void;
  /** Once, never while the constructor runs, and not after `close`. What was in batches above `lastSentBatch` did not run. */
  readonly onLost: (error: HoldfastError) => void;
  readonly onResumed?: () => void;
  /** All that waited has been sent. */
  readonly onDrain?: () => void;
}

type Phase =
  | { readonly name: 'connecting'; readonly channel: Channel }
  | { readonly name: 'ready'; readonly channel: Channel }
  | { readonly name: 'waiting'; readonly timer: Timer }
  | { readonly name: 'over' };

/** From a broken channel, or from the start, to a welcome. */
const welcomeWithinMs = 3_000;
const retryAfterMs = 100;
const refusalsUntilLost = 2;
/** Codes that another attempt would only get again. */
const finalCodes: ReadonlySet<string> = new Set(['Unauthenticated', 'PermissionDenied', 'InvalidArgument']);

/**
 * A client's connection to one boot of a worker; it outlives its channels (invariants in link-end).
 *
 * I6. It goes on only with the boot and the session that it began with; else it is lost, at once and for good.
 * I7. It is never silent for longer than `welcomeWithinMs` about a channel that is gone.
 */
export class ClientLink {
  readonly #options: ClientLinkOptions;
  readonly #end: LinkEnd;
  #phase: Phase = { name: 'over' };
  #bootId: string | null = null;
  #refusals = 0;
  #deadline: Timer;

  constructor(options: ClientLinkOptions) {
    this.#options = options;
    this.#end = new LinkEnd({
      onFrame: options.onFrame,
      onDrain: () => options.onDrain?.(),
      mayFlush: () => true,
      overflowed: (error) => this.#lose(error),
    });
    this.#deadline = this.#startDeadline();
    this.#connect();
  }

  /** Write frames here, then flush. */
  get writer(): FrameWriter {
    return this.#end.outbox.writer;
  }

  /** The batch that a frame written to `writer` now will be in. */
  get nextBatch(): number {
    return this.#end.nextBatch;
  }

  /** The last batch that may have reached the worker. */
  get lastSentBatch(): number {
    return this.#end.lastSentBatch;
  }

  get isConnected(): boolean {
    return this.#phase.name === 'ready';
  }

  /** Not connected, or the worker reads slowly: what is written waits, until `onDrain`. */
  get isBlocked(): boolean {
    return !this.#end.outbox.isFlowing;
  }

  get bufferedBytes(): number {
    return this.#end.outbox.bufferedBytes;
  }

  /** The boot that it is connected to; null before the first welcome. */
  get bootId(): string | null {
    return this.#bootId;
  }

  flushSoon(): void {
    this.#end.outbox.flushSoon();
  }

  flushThisTick(): void {
    this.#end.outbox.flushThisTick();
  }

  flushNow(): void {
    this.#end.outbox.flushNow();
  }

  /** Sends what is written and ends the session: the worker cancels what runs for it. Idempotent. */
  close(): void {
    const phase = this.#phase;
    if (phase.name === 'ready') {
      this.flushNow();
      phase.channel.send(bye);
    }
    this.#end.close();
    this.#stop(undefined);
  }

  #connect(): void {
    let channel: Channel;
    try {
      channel = this.#options.open();
    } catch (error) {
      return this.#refused(error);
    }
    this.#phase = { name: 'connecting', channel };
    channel.open({
      onMessage: (message) => this.#onMessage(channel, message),
      onDrain: () => {
        if (this.#isReadyOn(channel)) this.#end.resume();
      },
      onClosed: (error) => this.#onClosed(channel, error),
    });
    const { clientId, linkId, stream } = this.#options;
    const resume = this.#bootId !== null;
    channel.send(encodeHello({ clientId, linkId, stream, resume, received: this.#end.received }));
  }

  #onMessage(channel: Channel, message: Uint8Array): void {
    const phase = this.#phase;
    if (phase.name === 'over' || phase.name === 'waiting' || phase.channel !== channel) return;
    try {
      if (phase.name === 'connecting') this.#onWelcome(channel, message);
      else if (message[0] === LinkMessage.bye)
        this.#lose(new HoldfastError('Unavailable', 'the worker ended the link'));
      else this.#end.receive(message);
    } catch (error) {
      this.#lose(error);
    }
  }

  #onWelcome(channel: Channel, message: Uint8Array): void {
    const { bootId, resumed, received } = decodeWelcome(message);
    const isFirst = this.#bootId === null;
    if (!isFirst && (bootId !== this.#bootId || !resumed)) {
      const why = bootId === this.#bootId ? 'its session is gone' : `boot ${this.#bootId} is over, ${bootId} answered`;
      return this.#lose(new HoldfastError('Unavailable', `the link cannot go on: ${why}`, { outcome: 'unknown' }));
    }
    this.#bootId = bootId;
    this.#refusals = 0;
    this.#deadline.cancel();
    this.#phase = { name: 'ready', channel };
    this.#end.attach(channel, received);
    if (!isFirst && this.#isReadyOn(channel)) this.#options.onResumed?.();
  }

  #onClosed(channel: Channel, error: Error | null): void {
    const phase = this.#phase;
    if (phase.name === 'over' || phase.name === 'waiting' || phase.channel !== channel) return;
    if (phase.name === 'connecting' || isFinal(error)) return this.#refused(error);
    this.#end.detach();
    this.#deadline = this.#startDeadline();
    this.#connect();
  }

  #refused(error: unknown): void {
    this.#refusals += 1;
    if (this.#refusals >= refusalsUntilLost || isFinal(error)) return this.#lose(error);
    const timer = this.#options.clock.after(retryAfterMs, () => this.#connect());
    this.#phase = { name: 'waiting', timer };
  }

  #startDeadline(): Timer {
    return this.#options.clock.after(welcomeWithinMs, () => {
      const why = `the worker did not answer within ${welcomeWithinMs} ms`;
      this.#lose(new HoldfastError('Unavailable', why, { outcome: 'unknown' }));
    });
  }

  #isReadyOn(channel: Channel): boolean {
    return this.#phase.name === 'ready' && this.#phase.channel === channel;
  }

  #lose(why: unknown): void {
    if (this.#phase.name === 'over') return;
    const error = asLoss(why);
    this.#end.close();
    this.#stop(error);
    this.#options.onLost(error);
  }

  #stop(error: HoldfastError | undefined): void {
    const phase = this.#phase;
    this.#phase = { name: 'over' };
    this.#deadline.cancel();
    if (phase.name === 'waiting') phase.timer.cancel();
    else if (phase.name !== 'over') phase.channel.close(error);
  }
}

function isFinal(error: unknown): boolean {
  return isHoldfastError(error) && finalCodes.has(error.code);
}

function asLoss(why: unknown): HoldfastError {
  if (isHoldfastError(why)) return why;
  const text = why instanceof Error ? why.message : 'the worker closed it';
  return new HoldfastError('Unavailable', `the link to the worker is lost: ${text}`, {
    outcome: 'unknown',
    cause: why,
  });
}
