import type { Clock, Monotonic } from '../../common/clock.js';
import { HoldfastError, isHoldfastError } from '../../common/errors.js';
import type { BootId, WorkerId } from '../../common/ids.js';
import type { LeaseTimes } from '../../common/lease.js';
import type { Transport } from '../../common/ports/channel.js';
import type { LeaseStore } from '../../common/ports/store.js';
import { BorrowReply, BorrowRequest, type Refusal } from '../../wire/gen/holdfast/v1/router.js';
import { Container } from '../hosting/container.js';
import type { ContainerEvents } from '../hosting/container-events.js';
import type { Place, Room } from '../hosting/container-place.js';
import type { Instance } from '../instances/instance.js';
import { BorrowedProcess } from './borrowed-process.js';
import { lenderEnd } from './lender-end.js';

export interface BorrowingDeps {
  readonly bootId: BootId;
  readonly clock: Clock;
  /** Rejects while no router has been heard of. */
  readonly transport: () => Transport;
  readonly remainingMs: () => number | null;
  readonly leases: LeaseStore;
  readonly leaseTimes: LeaseTimes;
  /** Aborted when this boot is over. */
  readonly over: AbortSignal;
  readonly eventsOf: (container: Container) => ContainerEvents;
}

const routerWithinMs = 10_000;
/** Beyond the class's `startupTimeoutMs`: the lender starts a process first. */
const beyondStartupMs = 10_000;
/** Each with the reasons of those before. */
const mostLenders = 3;
/** What the class is at fault for, wherever it is loaded. */
const ofTheClass: ReadonlySet<string> = new Set(['ActivationFailed', 'OutOfMemory', 'NotFound', 'VolumeUnavailable']);

/**
 * Containers of other workers, for pools of this boot that have no room here.
 *
 * I1. What is borrowed ends with this boot: its worker closes it, or the lender sees that its lease is over (S7).
 */
export class Borrowing {
  readonly #deps: BorrowingDeps;
  readonly #borrowed = new Set<BorrowedProcess>();
  #isClosed = false;

  constructor(deps: BorrowingDeps) {
    this.#deps = deps;
  }

  /** Of another worker, or of this one after all where none lends one. @param here null: it has none */
  room(instance: Instance, here: () => Room | null): Room {
    let own: Room | null = null;
    const cancelled = new AbortController();
    return {
      release: () => own?.release(),
      cancel: () => cancelled.abort(),
      take: async (needs) => {
        try {
          return await this.#borrow(instance, cancelled.signal);
        } catch (error) {
          if (!isHoldfastError(error, 'NoCapacity') || cancelled.signal.aborted) throw error;
          own = here();
          if (own === null) throw error;
          return await own.take(needs);
        }
      },
    };
  }

  /** Kills what is borrowed, whoever hears of it. */
  close(): void {
    this.#isClosed = true;
    for (const process of this.#borrowed) process.kill();
  }

  /** @throws NoCapacity where nobody lends one now, ActivationFailed, OutOfMemory, NotFound, VolumeUnavailable */
  async #borrow(instance: Instance, signal: AbortSignal): Promise<Place> {
    const refused: Refusal[] = [];
    for (;;) {
      const reply = await this.#ask(instance, refused, signal);
      try {
        return await this.#take(instance, reply, signal);
      } catch (error) {
        if (signal.aborted || (isHoldfastError(error) && ofTheClass.has(error.code))) throw error;
        const why = error instanceof Error ? error.message : String(error);
        if (refused.push({ bootId: reply.bootId, why }) >= mostLenders) throw noLender(why);
      }
    }
  }

  async #ask({ key, epoch }: Instance, refused: Refusal[], signal: AbortSignal): Promise<BorrowReply> {
    const { bootId, transport } = this.#deps;
    const request = BorrowRequest.encode({ key, epoch, bootId, refused }).finish();
    try {
      return BorrowReply.decode(await transport().unary('Borrow', request, { timeoutMs: routerWithinMs, signal }));
    } catch (error) {
      throw noLender(error instanceof Error ? error.message : String(error));
    }
  }

  async #take(instance: Instance, reply: BorrowReply, signal: AbortSignal): Promise<Place> {
    const { workerId, address, ticket } = reply;
    const { clock, transport, remainingMs, eventsOf } = this.#deps;
    const endedAfter = (until: Monotonic) => this.#endedAfter(reply.bootId as BootId, until);
    const withinMs = instance.klass.options.startupTimeoutMs + beyondStartupMs;
    const loan = { workerId: workerId as WorkerId, ticket, withinMs, signal };
    const process = await BorrowedProcess.open(transport().openWorker(address), loan, {
      ...{ clock, remainingMs, endedAfter },
    });
    this.#borrowed.add(process);
    void process.settled.then(() => this.#borrowed.delete(process));
    const container = new Container(process, clock);
    container.loadedFor(instance.klass);
    container.listen(eventsOf(container));
    process.onRecall(() => instance.pool?.recall(container));
    if (this.#isClosed) container.kill();
    return { container, ready: Promise.resolve(), workerId: process.workerId };
  }

  /** The lender kills when this boot's lease is over as far as it knows; that may take as long as the end of a lease may (S8). */
  #endedAfter(bootId: BootId, until: Monotonic): Promise<void> {
    const { ttlMs, fenceAfterMs, graceMs } = this.#deps.leaseTimes;
    return lenderEnd({ bootId, until: until + ttlMs - fenceAfterMs + graceMs }, this.#deps);
  }
}

function noLender(why: string): HoldfastError {
  return new HoldfastError('NoCapacity', why);
}
