import { HoldfastError } from '../../src/common/errors.js';
import type { Channel } from '../../src/common/ports/channel.js';
import { FrameKind } from '../../src/wire/frames/frames.js';
import { type ChannelPair, createChannelPair } from '../../src/wire/link/channel-pair.js';
import { ClientLink, type ClientLinkOptions } from '../../src/wire/link/link.js';
import { LinkHost, type ServerLink } from '../../src/wire/link/link-host.js';
import { ManualClock } from '../manual-clock.js';

/** What one side has written and seen; the ref of a frame is its number. */
class Side {
  written = 0;
  seen = 0;
  /** Order of arrival that is not 1, 2, 3… */
  disorder: string | null = null;
  gone = 0;

  onFrame(_kind: FrameKind, ref: number): void {
    if (ref !== this.seen + 1) this.disorder ??= `${ref} came after ${this.seen}`;
    this.seen = ref;
  }
}

/** A client and a worker whose connections deliver when they are told to, and break. */
export class LinkWorld {
  readonly clock = new ManualClock();
  readonly client = new Side();
  readonly server = new Side();
  readonly sessions: ServerLink[] = [];
  readonly batchOf: number[] = [0];
  host: LinkHost;
  link: ClientLink;
  lost: HoldfastError | null = null;
  lostTimes = 0;
  resumed = 0;
  mayFlush = true;
  /** Connections that will be refused. */
  refusals = 0;
  refusal = new HoldfastError('Unavailable', 'refused');
  throwsAtFrame = 0;
  #tasks: (() => void)[] = [];
  #pair: ChannelPair | null = null;

  constructor(options: Partial<ClientLinkOptions> = {}) {
    this.host = this.newHost('boot-1');
    this.link = this.connect(options);
  }

  newHost(bootId: string): LinkHost {
    return new LinkHost({
      bootId,
      clock: this.clock,
      beforeFlush: () => this.mayFlush,
      onSession: (link) => {
        this.sessions.push(link);
        return {
          onFrame: (...[kind, ref]) => {
            if (ref === this.throwsAtFrame) throw new HoldfastError('InvalidArgument', 'not this frame');
            this.server.onFrame(kind, ref);
          },
          onGone: () => {
            this.server.gone += 1;
          },
        };
      },
    });
  }

  connect(options: Partial<ClientLinkOptions>): ClientLink {
    return new ClientLink({
      open: () => this.dial(),
      clientId: 'client-1',
      linkId: 'secret-1',
      stream: 1,
      clock: this.clock,
      onFrame: (...[kind, ref]) => this.client.onFrame(kind, ref),
      onLost: (error) => {
        this.lost = error;
        this.lostTimes += 1;
      },
      onResumed: () => {
        this.resumed += 1;
      },
      ...options,
    });
  }

  dial(): Channel {
    const pair = createChannelPair((task) => this.#tasks.push(task));
    this.#pair = pair;
    if (this.refusals > 0) {
      this.refusals -= 1;
      pair.right.open({ onMessage: () => undefined, onDrain: () => undefined, onClosed: () => undefined });
      pair.right.close(this.refusal);
    } else {
      this.host.accept(pair.right);
    }
    return pair.left;
  }

  write(side: 'client' | 'server', body?: Uint8Array): void {
    const from = this[side];
    const link = side === 'client' ? this.link : this.sessions.at(-1);
    if (link === undefined) return;
    from.written += 1;
    if (side === 'client') this.batchOf.push(this.link.nextBatch);
    link.writer.frame(FrameKind.Chunk, from.written, 0, body);
  }

  flush(side: 'client' | 'server'): void {
    (side === 'client' ? this.link : this.sessions.at(-1))?.flushNow();
  }

  /** Runs the next steps of the network. */
  deliver(steps: number): void {
    for (let i = 0; i < steps; i += 1) this.#tasks.shift()?.();
  }

  deliverAll(): void {
    while (this.#tasks.length > 0) this.#tasks.shift()?.();
  }

  cut(): void {
    this.#pair?.cut();
  }
}
