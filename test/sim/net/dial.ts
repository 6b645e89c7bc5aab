import { HoldfastError } from '../../../src/common/errors.js';
import type { Channel, ChannelHandlers, SplitMessage } from '../../../src/common/ports/channel.js';
import { wholeMessage } from '../../../src/wire/frames/split-message.js';
import type { SimHost, SimProcess } from '../engine/sim-process.js';
import { Connection, type ConnectionEnd } from './connection.js';
import type { Network } from './network.js';

/** A process that takes connections. */
export interface Listener {
  readonly process: SimProcess;
  accept(channel: ConnectionEnd): void;
}

export interface DialTo {
  readonly host: SimHost;
  /** Null: nobody listens there now. */
  readonly find: () => Listener | null;
  readonly withinMs: number;
}

const firstRetryMs = 1_000;

/** A channel that is being connected; what is sent meanwhile goes out first. */
export function dial(network: Network, process: SimProcess, to: DialTo): Channel {
  return new DialedChannel(network, process, to);
}

class DialedChannel implements Channel {
  readonly #network: Network;
  readonly #process: SimProcess;
  readonly #to: DialTo;
  readonly #giveUpAt: number;
  #handlers: ChannelHandlers | null = null;
  #unsent: Uint8Array[] = [];
  #end: ConnectionEnd | null = null;
  #isOver = false;

  constructor(network: Network, process: SimProcess, to: DialTo) {
    this.#network = network;
    this.#process = process;
    this.#to = to;
    this.#giveUpAt = network.timeline.now + to.withinMs;
  }

  open(handlers: ChannelHandlers): void {
    this.#handlers = handlers;
    this.#try(firstRetryMs);
  }

  send(message: Uint8Array | SplitMessage): boolean {
    if (this.#end !== null) return this.#end.send(message);
    if (!this.#isOver) this.#unsent.push(Buffer.from(wholeMessage(message)));
    return true;
  }

  close(error?: Error): void {
    if (this.#end !== null) return this.#end.close(error);
    if (this.#isOver) return;
    this.#isOver = true;
    this.#process.soon(() => this.#handlers?.onClosed(error ?? null));
  }

  #try(retryMs: number): void {
    const network = this.#network;
    const there = network.latencyMs(this.#process.host, this.#to.host);
    const back = network.latencyMs(this.#to.host, this.#process.host);
    this.#process.in(there + back, () => {
      if (this.#isOver) return;
      if (!this.#isReachable()) return this.#tryAgain(retryMs);
      const listener = this.#to.find();
      if (listener === null) return this.#refused('nobody listens there');
      this.#connected(listener);
    });
  }

  #isReachable(): boolean {
    const [here, there] = [this.#process.host, this.#to.host];
    return !there.isDown && !this.#network.isCut(here, there) && !this.#network.isCut(there, here);
  }

  #tryAgain(retryMs: number): void {
    const leftMs = this.#giveUpAt - this.#network.timeline.now;
    if (leftMs <= 0) return this.#refused('no answer');
    this.#process.in(Math.min(retryMs, leftMs), () => {
      if (!this.#isOver) this.#try(retryMs * 2);
    });
  }

  #refused(why: string): void {
    this.#isOver = true;
    const message = `${this.#to.host.name} cannot be reached: ${why}`;
    this.#handlers?.onClosed(new HoldfastError('Unavailable', message));
  }

  #connected(listener: Listener): void {
    const { left, right } = new Connection(this.#network, this.#process, listener.process);
    this.#end = left;
    listener.process.in(0, () => listener.accept(right));
    left.open(this.#handlers as ChannelHandlers);
    for (const message of this.#unsent) left.send(message);
    this.#unsent = [];
  }
}
