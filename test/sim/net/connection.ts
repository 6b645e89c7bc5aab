import { HoldfastError } from '../../../src/common/errors.js';
import type { Channel, ChannelHandlers, SplitMessage } from '../../../src/common/ports/channel.js';
import { decodeError, encodeError } from '../../../src/wire/errors.js';
import { wholeMessage } from '../../../src/wire/frames/split-message.js';
import type { SimHost, SimProcess } from '../engine/sim-process.js';
import type { Network } from './network.js';

/** As `grpc-options`: pings every 2 s, which are answered within 4 s or never. */
const keepalive = { fromMs: 3_000, toMs: 6_000 };
const highWaterBytes = 1_048_576;
/** TCP sends again what a cut link swallowed, at most this much after it works again. */
const resendWithinMs = 1_500;

/** Both ends know of it; what was under way may be lost. */
function broken(why: string): HoldfastError {
  return new HoldfastError('Unavailable', `the connection broke: ${why}`, { outcome: 'unknown' });
}

/**
 * One stream between two processes: in order, without loss or duplicates for as long as it lasts, like TCP. A cut link makes it
 * stand still; a silent other side is noticed by each end in its own time; a dead process is noticed as soon as its kernel can say so.
 */
export class Connection {
  readonly left: ConnectionEnd;
  readonly right: ConnectionEnd;
  readonly network: Network;
  /** In one host there are no pings. */
  readonly isLocal: boolean;

  constructor(network: Network, left: SimProcess, right: SimProcess) {
    this.network = network;
    this.isLocal = left.host === right.host;
    this.left = new ConnectionEnd(this, left);
    this.right = new ConnectionEnd(this, right);
    this.left.peer = this.right;
    this.right.peer = this.left;
    network.add(this);
  }

  isBetween(a: SimHost, b: SimHost): boolean {
    const [x, y] = [this.left.process.host, this.right.process.host];
    return (x === a && y === b) || (x === b && y === a);
  }

  onCut(): void {
    if (this.isLocal) return;
    for (const end of [this.left, this.right]) end.expectSilence();
  }

  onHealed(): void {
    this.left.goOn();
    this.right.goOn();
  }

  reset(): void {
    this.left.fail('it was reset');
    this.right.fail('it was reset');
  }

  ended(): void {
    if (this.left.isOver && this.right.isOver) this.network.remove(this);
  }
}

type Item = { readonly message: Uint8Array } | { readonly closed: Error | null };

/** One end, as its process has it. */
export class ConnectionEnd implements Channel {
  readonly process: SimProcess;
  peer!: ConnectionEnd;
  readonly #connection: Connection;
  #handlers: ChannelHandlers | null = null;
  /** On the way to this end, in order. */
  readonly #incoming: { readonly item: Item; arrivesAt: number }[] = [];
  #incomingBytes = 0;
  #lastArrivesAt = 0;
  #isArriving = false;
  #isStalled = false;
  #phase: 'open' | 'closing' | 'over' = 'open';
  #owesDrain = false;
  readonly #forgetDeath: () => void;
  /** What leaves this end, before it does: for the checker. */
  onSend: ((message: Uint8Array) => void) | null = null;

  constructor(connection: Connection, process: SimProcess) {
    this.#connection = connection;
    this.process = process;
    this.#forgetDeath = process.onDeath(() => this.#died());
  }

  get isOver(): boolean {
    return this.#phase === 'over';
  }

  open(handlers: ChannelHandlers): void {
    this.#handlers = handlers;
    this.#arriveNext();
  }

  send(message: Uint8Array | SplitMessage): boolean {
    if (this.#phase !== 'open') return true;
    const whole = wholeMessage(message);
    this.onSend?.(whole);
    this.peer.#receive({ message: Buffer.from(whole) });
    this.#owesDrain ||= this.peer.#incomingBytes > highWaterBytes;
    return !this.#owesDrain;
  }

  close(error?: Error): void {
    if (this.#phase !== 'open') return;
    this.#phase = 'closing';
    // As over a wire: the other side gets a copy of the error.
    this.peer.#receive({ closed: error === undefined ? null : decodeError(encodeError(error)) });
    this.process.soon(() => this.#end(error ?? null));
  }

  /** This end has noticed that it is no good; the other is told where it can be reached. */
  fail(why: string): void {
    if (this.#phase !== 'open') return;
    this.#phase = 'closing';
    this.peer.#receive({ closed: broken(why) });
    this.process.soon(() => this.#end(broken(why)));
  }

  /** The link is cut, or the other process stands still: unless that ends soon, this end notices. */
  expectSilence(): void {
    if (this.#phase !== 'open') return;
    const { network } = this.#connection;
    const { random, host } = this.process;
    const began = network.timeline.now;
    const noticedAfterMs = random.between(keepalive.fromMs, keepalive.toMs);
    this.process.in(noticedAfterMs, () => {
      const { process } = this.peer;
      const cuts = [network.cutSince(host, process.host), network.cutSince(process.host, host)];
      const isCut = cuts.some((since) => since !== null && since <= began);
      const isStopped = process.isStopped && process.stoppedAt <= began;
      const isGone = !process.isAlive;
      if (isCut || isStopped || isGone) this.fail('the other side is silent');
    });
  }

  /** The link works again. */
  goOn(): void {
    if (!this.#isStalled) return;
    this.#isStalled = false;
    const [next] = this.#incoming;
    const { timeline } = this.#connection.network;
    if (next !== undefined) next.arrivesAt = timeline.now + this.process.random.next() * resendWithinMs;
    this.#arriveNext();
  }

  #receive(item: Item): void {
    if (this.#phase === 'over') return;
    const { network } = this.#connection;
    const latencyMs = network.latencyMs(this.peer.process.host, this.process.host);
    this.#lastArrivesAt = Math.max(this.#lastArrivesAt, network.timeline.now + latencyMs);
    this.#incoming.push({ item, arrivesAt: this.#lastArrivesAt });
    if ('message' in item) this.#incomingBytes += item.message.length;
    this.#arriveNext();
  }

  #arriveNext(): void {
    const [next] = this.#incoming;
    if (next === undefined || this.#isArriving || this.#isStalled || this.#handlers === null) return;
    this.#isArriving = true;
    const inMs = Math.max(0, next.arrivesAt - this.#connection.network.timeline.now);
    this.process.in(inMs, () => {
      this.#isArriving = false;
      this.#arrive();
    });
  }

  #arrive(): void {
    if (this.#phase === 'over') return;
    const { network, isLocal } = this.#connection;
    if (!isLocal && network.isCut(this.peer.process.host, this.process.host)) {
      this.#isStalled = true;
      return;
    }
    const arrived = this.#incoming.shift();
    if (arrived === undefined) return;
    const { item } = arrived;
    if ('closed' in item) {
      if (this.#phase === 'open') this.#end(item.closed);
      return;
    }
    this.#incomingBytes -= item.message.length;
    this.peer.#drained();
    this.#arriveNext();
    if (this.#phase === 'open') this.#handlers?.onMessage(item.message);
  }

  #drained(): void {
    if (!this.#owesDrain || this.peer.#incomingBytes > highWaterBytes / 2) return;
    this.#owesDrain = false;
    this.process.soon(() => {
      if (this.#phase === 'open') this.#handlers?.onDrain();
    });
  }

  #end(error: Error | null): void {
    if (this.#phase === 'over') return;
    this.#over();
    this.#handlers?.onClosed(error);
  }

  #over(): void {
    this.#phase = 'over';
    this.#incoming.length = 0;
    this.#incomingBytes = 0;
    this.#forgetDeath();
    this.#connection.ended();
  }

  /** The kernel closes its sockets; where the machine is gone as well, nobody says so. */
  #died(): void {
    const wasOpen = this.#phase === 'open';
    this.#over();
    if (!wasOpen) return;
    const { random, host } = this.peer.process;
    if (this.process.host.isDown) return this.peer.expectSilence();
    if (host !== this.process.host && random.chance(0.3)) this.peer.#loseSome();
    this.peer.#receive({ closed: broken('the other process ended') });
  }

  /** What was not read when the connection was reset. */
  #loseSome(): void {
    const kept = this.process.random.integer(0, this.#incoming.length);
    const from = this.#isArriving ? Math.max(1, kept) : kept;
    for (const { item } of this.#incoming.splice(from)) {
      if ('message' in item) this.#incomingBytes -= item.message.length;
    }
  }
}
