import type { Clock, Timer } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import type { Channel, ChannelHandlers } from '../../common/ports/channel.js';
import type { FrameWriter } from '../frames/frame-writer.js';
import type { FrameKind } from '../frames/frames.js';
import { LinkEnd } from './link-end.js';
import { bye, decodeHello, encodeWelcome, type Hello, LinkMessage } from './link-messages.js';

/** What a session does with its link. */
export interface SessionHandlers {
  /** What it throws ends the session; the client learns it. */
  onFrame(kind: FrameKind, ref: number, slot: number, frame: Buffer): void;
  /** Once: no channel for 5 s, closed by either side, or fenced by a newer stream (C5, C7). */
  onGone(): void;
  /** All that waited has been sent. */
  onDrain?(): void;
}

export interface LinkHostOptions {
  readonly bootId: string;
  readonly clock: Clock;
  /** Frames come after it returned. */
  readonly onSession: (link: ServerLink) => SessionHandlers;
  /** Asked before each flush; false: nothing leaves this boot any more, what waits is discarded (S7). */
  readonly beforeFlush?: () => boolean;
  /** Default 10 000. */
  readonly maxSessions?: number;
  /** In which a client has to be trusted (`ServerLink.trust`); absent: every client is. */
  readonly strangerForMs?: number;
  /** Takes a channel that does not begin as a client's; null: it is one. What it throws closes the channel. */
  readonly onOther?: (channel: Channel, first: Uint8Array) => ChannelHandlers | null;
}

const helloWithinMs = 5_000;
const resumeWithinMs = 5_000;

/**
 * The worker's side of all links: one session per client (invariants in link-end).
 *
 * I8. A session ends at most once, and with it all that its client has here.
 * I9. A hello that resumes never makes a session: what a client believes to be under way is here, or the client learns that
 *     it is not.
 * I10. Anybody may say hello: a client that was not trusted in time is sent away, and the oldest of those makes room where there
 *     are too many, so that strangers keep nobody out for long.
 */
export class LinkHost {
  readonly #options: LinkHostOptions;
  readonly #sessions = new Map<string, ServerLink>();
  /** The oldest first. */
  readonly #strangers = new Set<ServerLink>();

  constructor(options: LinkHostOptions) {
    this.#options = options;
  }

  get sessionCount(): number {
    return this.#sessions.size;
  }

  /** @param principal whose channel it is: only the same one can resume what it began, and clients of others are others */
  accept(channel: Channel, principal = ''): void {
    let session: ServerLink | null = null;
    let other: ChannelHandlers | null = null;
    const late = new HoldfastError('DeadlineExceeded', `no hello within ${helloWithinMs} ms`);
    const timer = this.#options.clock.after(helloWithinMs, () => channel.close(late));
    channel.open({
      onMessage: (message) => {
        if (session !== null) return session.receive(channel, message);
        if (other !== null) return other.onMessage(message);
        timer.cancel();
        try {
          other = this.#options.onOther?.(channel, message) ?? null;
          if (other !== null) return;
          session = this.#greet(channel, { hello: decodeHello(message), principal });
        } catch (error) {
          channel.close(error as Error);
        }
      },
      onDrain: () => (other === null ? session?.drained(channel) : other.onDrain()),
      onClosed: (error) => {
        timer.cancel();
        session?.detached(channel);
        other?.onClosed(error);
      },
    });
  }

  /** Ends all sessions. */
  close(): void {
    for (const session of [...this.#sessions.values()]) session.close();
  }

  /** Null: there is nothing to resume, and the client has been told. */
  #greet(channel: Channel, from: { readonly hello: Hello; readonly principal: string }): ServerLink | null {
    const { hello, principal } = from;
    const key = `${principal}\0${hello.clientId}`;
    const known = this.#sessions.get(key);
    if (known !== undefined && hello.stream === known.stream) {
      known.resume(channel, hello);
      return known;
    }
    if (known !== undefined && hello.stream < known.stream) {
      throw new HoldfastError('PermissionDenied', `stream ${hello.stream} was fenced by stream ${known.stream}`);
    }
    known?.close(new HoldfastError('Unavailable', `stream ${known.stream} was fenced by stream ${hello.stream}`));
    if (hello.resume) {
      channel.send(encodeWelcome({ bootId: this.#options.bootId, resumed: false, received: 0 }));
      channel.close();
      return null;
    }
    return this.#begin(key, channel, hello);
  }

  #begin(key: string, channel: Channel, hello: Hello): ServerLink {
    const { bootId, maxSessions = 10_000, strangerForMs } = this.#options;
    if (this.#sessions.size >= maxSessions) {
      const full = new HoldfastError('Unavailable', `boot ${bootId} has ${maxSessions} clients, no more are taken`);
      const [oldest] = this.#strangers;
      if (oldest === undefined) throw full;
      oldest.close(full);
    }
    const session = new ServerLink(hello, this.#options, {
      gone: () => {
        this.#sessions.delete(key);
        this.#strangers.delete(session);
      },
      trusted: () => void this.#strangers.delete(session),
    });
    this.#sessions.set(key, session);
    if (strangerForMs !== undefined) this.#strangers.add(session);
    session.resume(channel, hello);
    return session;
  }
}

/** One client's link, as the worker holds it. */
export class ServerLink {
  readonly clientId: string;
  readonly stream: number;
  readonly #linkId: string;
  readonly #options: LinkHostOptions;
  readonly #told: { readonly gone: () => void; readonly trusted: () => void };
  readonly #end: LinkEnd;
  readonly #handlers: SessionHandlers;
  #channel: Channel | null = null;
  #absence: Timer | null = null;
  #strangeness: Timer | null = null;
  #isGone = false;

  /** @param told who is to hear of it, once each */
  constructor(
    hello: Hello,
    options: LinkHostOptions,
    told: { readonly gone: () => void; readonly trusted: () => void },
  ) {
    this.clientId = hello.clientId;
    this.stream = hello.stream;
    this.#linkId = hello.linkId;
    this.#options = options;
    this.#told = told;
    this.#end = new LinkEnd({
      // biome-ignore lint/complexity/useMaxParams: no object per frame
      onFrame: (kind, ref, slot, frame) => this.#handlers.onFrame(kind, ref, slot, frame),
      onDrain: () => this.#handlers.onDrain?.(),
      mayFlush: () => options.beforeFlush === undefined || options.beforeFlush(),
      overflowed: (error) => this.close(error),
    });
    this.#handlers = options.onSession(this);
    const { clock, strangerForMs } = options;
    if (strangerForMs === undefined) return;
    const why = `client ${this.clientId} has shown within ${strangerForMs} ms nothing that it may call here`;
    this.#strangeness = clock.after(strangerForMs, () => this.close(new HoldfastError('Unavailable', why)));
  }

  /** Write frames here, then flush. */
  get writer(): FrameWriter {
    return this.#end.outbox.writer;
  }

  get isConnected(): boolean {
    return this.#channel !== null;
  }

  /** Not connected, or the client reads slowly: what is written waits, until `onDrain`. */
  get isBlocked(): boolean {
    return !this.#end.outbox.isFlowing;
  }

  get bufferedBytes(): number {
    return this.#end.outbox.bufferedBytes;
  }

  /** Its client has shown that it may use something here. */
  trust(): void {
    if (this.#strangeness === null) return;
    this.#strangeness.cancel();
    this.#strangeness = null;
    this.#told.trusted();
  }

  flushSoon(): void {
    this.#end.outbox.flushSoon();
  }

  flushNow(): void {
    this.#end.outbox.flushNow();
  }

  /** Ends the session: without an error after sending what is written. Idempotent. */
  close(error?: HoldfastError): void {
    if (this.#isGone) return;
    this.#isGone = true;
    if (error === undefined) {
      this.flushNow();
      this.#channel?.send(bye);
    }
    this.#absence?.cancel();
    this.#strangeness?.cancel();
    this.#end.close();
    this.#told.gone();
    const channel = this.#channel;
    this.#channel = null;
    channel?.close(error);
    this.#handlers.onGone();
  }

  /** For the host: goes on over `channel`, its first one included. @throws PermissionDenied */
  resume(channel: Channel, hello: Hello): void {
    if (hello.linkId !== this.#linkId) {
      throw new HoldfastError(
        'PermissionDenied',
        `stream ${hello.stream} of client ${hello.clientId} belongs to another link`,
      );
    }
    // The client knows before us that the channel before is broken.
    const before = this.#channel;
    this.#channel = channel;
    before?.close();
    this.#absence?.cancel();
    this.#absence = null;
    this.#end.detach();
    try {
      if (this.#options.beforeFlush?.() === false) throw fenced(this.#options.bootId);
      channel.send(encodeWelcome({ bootId: this.#options.bootId, resumed: true, received: this.#end.received }));
      this.#end.attach(channel, hello.received);
    } catch (error) {
      this.close(error as HoldfastError);
    }
  }

  /** For the host. */
  receive(channel: Channel, message: Uint8Array): void {
    if (channel !== this.#channel) return;
    try {
      if (message[0] === LinkMessage.bye) this.close();
      else this.#end.receive(message);
    } catch (error) {
      this.close(error as HoldfastError);
    }
  }

  /** For the host. */
  drained(channel: Channel): void {
    if (channel === this.#channel) this.#end.resume();
  }

  /** For the host. */
  detached(channel: Channel): void {
    if (channel !== this.#channel) return;
    this.#channel = null;
    this.#end.detach();
    const why = `client ${this.clientId} did not come back within ${resumeWithinMs} ms`;
    this.#absence = this.#options.clock.after(resumeWithinMs, () => this.close(new HoldfastError('Unavailable', why)));
  }
}

function fenced(bootId: string): HoldfastError {
  return new HoldfastError('Unavailable', `boot ${bootId} is fenced; resolve again`, { outcome: 'unknown' });
}
