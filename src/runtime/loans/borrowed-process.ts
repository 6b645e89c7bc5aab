import type { Clock, Monotonic, Timer } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import type { WorkerId } from '../../common/ids.js';
import type { Channel, ChannelHandlers, SplitMessage } from '../../common/ports/channel.js';
import type { ContainerExit, ContainerProcess } from '../../common/ports/container.js';
import {
  type Lent,
  LoanMessage,
  loanData,
  loanMessage,
  readAsk,
  readGone,
  readLent,
  readSettled,
} from '../../wire/loan-messages.js';

interface BorrowedProcessDeps {
  readonly clock: Clock;
  /** What is left of this boot's right to run, in ms; null: it is over (S7). */
  readonly remainingMs: () => number | null;
  /** Resolves when nothing runs any more in a container whose lender may think until then that this boot may run. */
  readonly endedAfter: (until: Monotonic) => Promise<void>;
}

/** A lender asks each second; one that is silent for longer is lost. */
const silentMs = 10_000;
/** From a kill to the word that the process is gone. */
const goneWithinMs = 5_000;

/**
 * A container at another worker, as a process of this one: its messages travel over a channel to that worker, which passes them on
 * unread.
 *
 * I1. It ends once: with the lender's word that it is gone, or with the channel, whatever runs there then; what that still says is
 *     heard by nobody.
 *     When none of its code runs any more is another matter: `gone`.
 * I2. The lender is told what is left of this boot's lease whenever it asks, and kills the container at its end (S7).
 */
export class BorrowedProcess implements ContainerProcess {
  readonly pid = null;
  readonly workerId: WorkerId;
  readonly channel: Channel;
  readonly exited: Promise<ContainerExit>;
  readonly settled: Promise<string | null>;
  readonly gone: Promise<void>;
  readonly #deps: BorrowedProcessDeps;
  readonly #wire: Channel;
  #lent: Lent | null = null;
  #handlers: ChannelHandlers | null = null;
  /** What came before anybody listened. */
  #early: Uint8Array[] = [];
  #isOver = false;
  #isRecalled = false;
  #silence: Timer | null = null;
  #killing: Timer | null = null;
  #onLent: (result: BorrowedProcess | Error) => void = () => undefined;
  #onRecall: () => void = () => undefined;
  #resolveExited: (exit: ContainerExit) => void = () => undefined;
  #resolveSettled: (problem: string | null) => void = () => undefined;
  #resolveGone: (ended?: Promise<void>) => void = () => undefined;
  /** What the lender was told last; null: nothing, and so no code of this boot has run there. */
  #toldUntil: Monotonic | null = null;

  /** Resolves when the container has its class. @throws what the lender refused with, Unavailable where it cannot be reached or takes longer than `withinMs` */
  static open(
    wire: Channel,
    loan: {
      readonly workerId: WorkerId;
      readonly ticket: string;
      readonly withinMs: number;
      readonly signal?: AbortSignal;
    },
    deps: BorrowedProcessDeps,
  ): Promise<BorrowedProcess> {
    return new Promise((resolve, reject) => {
      const process = new BorrowedProcess(wire, loan.workerId, deps);
      const late = deps.clock.after(loan.withinMs, () =>
        process.#over(lost(loan.workerId, `did not lend within ${loan.withinMs} ms`)),
      );
      const cancel = (): void => process.#over(lost(loan.workerId, 'is needed no more'));
      loan.signal?.addEventListener('abort', cancel, { once: true });
      process.#onLent = (result) => {
        late.cancel();
        loan.signal?.removeEventListener('abort', cancel);
        if (result instanceof BorrowedProcess) resolve(result);
        else reject(result);
      };
      wire.send(loanMessage(LoanMessage.borrow, { ticket: loan.ticket }));
      if (loan.signal?.aborted) cancel();
    });
  }

  private constructor(wire: Channel, workerId: WorkerId, deps: BorrowedProcessDeps) {
    this.workerId = workerId;
    this.#wire = wire;
    this.#deps = deps;
    this.exited = new Promise((resolve) => {
      this.#resolveExited = resolve;
    });
    this.settled = new Promise((resolve) => {
      this.#resolveSettled = resolve;
    });
    this.gone = new Promise((resolve) => {
      this.#resolveGone = resolve;
    });
    this.channel = {
      open: (handlers) => this.#open(handlers),
      send: (message: Uint8Array | SplitMessage) => this.#isOver || wire.send(loanData(message)),
      close: () => this.kill(),
    };
    wire.open({
      onMessage: (message) => this.#receive(message),
      onDrain: () => this.#handlers?.onDrain(),
      onClosed: (error) => this.#over(error ?? lost(workerId, 'ended the loan')),
    });
    this.#hear();
  }

  get id(): string {
    return this.#lent?.containerId ?? '';
  }

  get hasVolumes(): boolean {
    return this.#lent?.hasVolumes ?? false;
  }

  /** @param listener the lender drains: the container is wanted back; called at once where that was said already */
  onRecall(listener: () => void): void {
    this.#onRecall = listener;
    if (this.#isRecalled) listener();
  }

  limit(): void {
    // Its lender has done so.
  }

  onOutput(): void {
    // Its lender writes them down.
  }

  kill(): void {
    if (this.#isOver || this.#killing !== null) return;
    this.#wire.send(loanMessage(LoanMessage.end));
    this.#killing = this.#deps.clock.after(goneWithinMs, () => this.#over(lost(this.workerId, 'did not answer')));
  }

  #open(handlers: ChannelHandlers): void {
    this.#handlers = handlers;
    for (const message of this.#early.splice(0)) handlers.onMessage(message);
  }

  #receive(message: Uint8Array): void {
    try {
      this.#onMessage(message);
    } catch (error) {
      this.#over(error as Error);
    }
  }

  #onMessage(message: Uint8Array): void {
    switch (message[0]) {
      case LoanMessage.data:
        if (this.#handlers === null) this.#early.push(message.subarray(1));
        else this.#handlers.onMessage(message.subarray(1));
        return;
      case LoanMessage.ask:
        return this.#answer(message);
      case LoanMessage.lent:
        this.#lent = readLent(message);
        return this.#onLent(this);
      case LoanMessage.recall:
        this.#isRecalled = true;
        return this.#onRecall();
      case LoanMessage.gone:
        this.#resolveExited(this.#exitOf(readGone(message)));
        this.#toldUntil = null;
        this.#resolveGone();
        this.#killing?.cancel();
        return;
      case LoanMessage.settled:
        this.#resolveSettled(readSettled(message));
        return this.#over(null);
      default:
        throw new HoldfastError('InvalidArgument', `worker ${this.workerId} sent a message ${message[0]} of no loan`);
    }
  }

  /** One that was wanted back and killed for that: no fault of its class. */
  #exitOf(exit: ContainerExit): ContainerExit {
    if (!this.#isRecalled || this.#killing === null || exit.outOfMemory) return exit;
    return { ...exit, why: `worker ${this.workerId}, which lends it, wanted it back` };
  }

  #answer(ask: Uint8Array): void {
    this.#hear();
    const { askedAt } = readAsk(ask);
    const remainingMs = this.#deps.remainingMs();
    if (remainingMs === null) return;
    this.#toldUntil = this.#deps.clock.monotonic() + remainingMs;
    this.#wire.send(loanMessage(LoanMessage.renew, { askedAt, remainingMs }));
  }

  #hear(): void {
    this.#silence?.cancel();
    this.#silence = this.#deps.clock.after(silentMs, () => this.#over(lost(this.workerId, 'was silent')));
  }

  /** @param error null: all was said */
  #over(error: Error | null): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#silence?.cancel();
    this.#killing?.cancel();
    const why = `worker ${this.workerId}, which lends it, was lost`;
    this.#onLent(error ?? lost(this.workerId, 'ended the loan'));
    this.#resolveExited({ exitCode: null, signal: null, outOfMemory: false, why });
    this.#resolveGone(this.#toldUntil === null ? undefined : this.#deps.endedAfter(this.#toldUntil));
    this.#resolveSettled(this.hasVolumes ? `${why}: what it wrote into its volumes may not be committed` : null);
    this.#wire.close();
  }
}

function lost(workerId: WorkerId, what: string): HoldfastError {
  return new HoldfastError('Unavailable', `worker ${workerId} ${what}`, { details: { workerId } });
}
