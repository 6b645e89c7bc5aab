import type { Clock, Monotonic, Timer } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import type { Channel, ChannelHandlers } from '../../common/ports/channel.js';
import type { ContainerExit, ContainerProcess } from '../../common/ports/container.js';
import { LoanMessage, loanData, loanMessage, readRenew } from '../../wire/loan-messages.js';
import type { Container } from '../hosting/container.js';

const askEveryMs = 1_000;
/** To the first answer of the borrower; nothing of an instance runs before. */
const firstAnswerWithinMs = 10_000;
/** Beyond every lease; it is renewed each second. */
const longestLeaseMs = 120_000;
/** What may wait for a slow other side, in either direction: as of any link. */
const maxWaitingBytes = 67_108_864;

/**
 * One container of this worker, lent to the worker of a pool: messages pass both ways unread.
 *
 * I1. Its container never outlives it: the borrower's word, a channel that breaks and the end of the borrower's lease kill it. The
 *     lease is counted from before the borrower was asked for it, so that it is over here first (S7).
 * I2. No code of an instance runs in it before the borrower has said that its boot may run: what activates is the borrower's.
 */
export class Loan implements ChannelHandlers {
  /** What its calls and hooks may take to end, in ms. */
  graceMs = 0;
  /** Resolves when its container is gone. */
  readonly ended: Promise<void>;
  readonly #channel: Channel;
  readonly #clock: Clock;
  #container: Container | null = null;
  #process: ContainerProcess | null = null;
  #isOver = false;
  /** Of the borrower's lease. */
  #deadline: Monotonic;
  #ask: Timer | null = null;
  #onRenewed: () => void = () => undefined;
  #whenEnded: () => void = () => undefined;
  #toContainer = 0;
  #toBorrower = 0;

  /** @param bring resolves with a container that has the class */
  constructor(channel: Channel, clock: Clock, bring: (loan: Loan) => Promise<Container>) {
    this.#channel = channel;
    this.#clock = clock;
    this.#deadline = clock.monotonic() + firstAnswerWithinMs;
    this.ended = new Promise((resolve) => {
      this.#whenEnded = resolve;
    });
    const renewed = new Promise<void>((resolve) => {
      this.#onRenewed = resolve;
    });
    this.#askAgain();
    void this.#run(bring, renewed);
  }

  onMessage(message: Uint8Array): void {
    try {
      this.#receive(message);
    } catch (error) {
      this.#end(error as Error);
    }
  }

  onDrain(): void {
    this.#toBorrower = 0;
  }

  onClosed(): void {
    this.#end(null);
  }

  /** The container is wanted back: its calls may end first. One that is not lent yet never is. */
  recall(): void {
    if (this.#process === null) return this.#end(new HoldfastError('NoCapacity', 'this worker is draining'));
    this.#channel.send(loanMessage(LoanMessage.recall));
  }

  /** Idempotent. */
  kill(): void {
    this.#end(null);
  }

  async #run(bring: (loan: Loan) => Promise<Container>, renewed: Promise<void>): Promise<void> {
    try {
      const container = await bring(this);
      this.#container = container;
      await renewed;
      if (this.#isOver) {
        await container.killed();
        return;
      }
      const process = container.lend({
        onMessage: (message) => this.#fromContainer(message),
        onDrain: () => {
          this.#toContainer = 0;
        },
      });
      this.#process = process;
      const hasVolumes = process.hasVolumes ?? false;
      this.#channel.send(loanMessage(LoanMessage.lent, { containerId: process.id, hasVolumes }));
      this.#tell(await process.exited);
      this.#channel.send(loanMessage(LoanMessage.settled, { problem: (await process.settled) ?? null }));
      this.#end(null);
    } catch (error) {
      this.#end(error as Error);
    } finally {
      this.#whenEnded();
    }
  }

  #tell({ exitCode, signal, outOfMemory }: ContainerExit): void {
    this.#channel.send(loanMessage(LoanMessage.gone, { exitCode, signal, outOfMemory }));
  }

  #receive(message: Uint8Array): void {
    switch (message[0]) {
      case LoanMessage.data: {
        // It may have stood still, and find this before its timer (S7).
        if (this.#clock.monotonic() >= this.#deadline) return this.#end(leaseIsOver());
        const { length } = message;
        const flows = this.#process?.channel.send(message.subarray(1)) ?? true;
        this.#toContainer = flows ? 0 : this.#toContainer + length;
        if (this.#toContainer > maxWaitingBytes) throw tooSlow('the container', this.#toContainer);
        return;
      }
      case LoanMessage.renew: {
        const { askedAt, remainingMs } = readRenew(message);
        // No word of the other side makes it longer than a lease is.
        this.#deadline = Math.min(askedAt, this.#clock.monotonic()) + Math.min(remainingMs, longestLeaseMs);
        return this.#onRenewed();
      }
      case LoanMessage.end:
        this.#container?.kill();
        if (this.#process === null) this.#end(null);
        return;
      default:
        throw new HoldfastError('InvalidArgument', `a borrower must not send a message ${message[0]}`);
    }
  }

  #fromContainer(message: Uint8Array): void {
    const flows = this.#channel.send(loanData(message));
    this.#toBorrower = flows ? 0 : this.#toBorrower + message.length;
    if (this.#toBorrower > maxWaitingBytes) this.#end(tooSlow('its borrower', this.#toBorrower));
  }

  #askAgain(): void {
    const now = this.#clock.monotonic();
    if (now >= this.#deadline) return this.#end(leaseIsOver());
    this.#channel.send(loanMessage(LoanMessage.ask, { askedAt: now }));
    this.#ask = this.#clock.after(Math.min(askEveryMs, this.#deadline - now), () => this.#askAgain());
  }

  #end(error: Error | null): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#ask?.cancel();
    this.#container?.kill();
    this.#onRenewed();
    this.#channel.close(error ?? undefined);
  }
}

function leaseIsOver(): HoldfastError {
  return new HoldfastError('Unavailable', 'the lease of the borrower is over');
}

function tooSlow(who: string, bytes: number): HoldfastError {
  return new HoldfastError('Unavailable', `the loan was ended: ${bytes} bytes wait for ${who}, which does not read`);
}
