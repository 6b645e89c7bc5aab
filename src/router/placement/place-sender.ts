import { HoldfastError, isHoldfastError } from '../../common/errors.js';
import { type InstanceKey, instanceKey } from '../../common/ids.js';
import type { Pin } from '../../common/pin.js';
import type { Bus } from '../../common/ports/bus.js';
import { decodeError } from '../../wire/errors.js';
import type { PlaceInstance, PlaceReply } from '../../wire/gen/holdfast/v1/bus.js';
import { encodePin } from '../../wire/pin-record.js';
import type { RouterMetrics } from '../service/metrics.js';
import { type Addressee, askWorker } from './worker-control.js';

/** `unknown`: the worker may have made it active, or may yet do so; only the pin or the end of its lease can tell (S5). */
export type PlaceOutcome =
  | { readonly phase: 'active' }
  | { readonly phase: 'refused'; readonly error: HoldfastError }
  | { readonly phase: 'unknown'; readonly error: HoldfastError };

const answerWithinMs = 3_000;
/** A NATS server refuses messages above 1 MiB. */
const maxBatchBytes = 524_288;
const maxBatchCount = 256;
const keyBytes = 40;
const nothing = Buffer.alloc(0);

interface Waiter {
  readonly instance: PlaceInstance;
  readonly settle: (outcome: PlaceOutcome) => void;
}

interface Queue {
  readonly to: Addressee;
  waiters: Waiter[];
}

/** Sends place requests, those of one tick to one worker in one message. */
export class PlaceSender {
  readonly #bus: Bus;
  readonly #closed: AbortSignal;
  readonly #metrics: RouterMetrics | null;
  readonly #queues = new Map<string, Queue>();

  constructor(options: { bus: Bus; closed: AbortSignal; metrics: RouterMetrics | null }) {
    this.#bus = options.bus;
    this.#closed = options.closed;
    this.#metrics = options.metrics;
  }

  /** Never rejects. @param pin stands at `placing`; its worker gets it */
  place(pin: Pin): Promise<PlaceOutcome> {
    return this.#enqueue(pin, { pin: encodePin(pin), key: instanceKey(pin.identity), epoch: pin.epoch });
  }

  /** Whether its worker has it already; else `unknown`, and nothing was set off. */
  check(key: InstanceKey, pin: Pin): Promise<PlaceOutcome> {
    return this.#enqueue(pin, { pin: nothing, key, epoch: pin.epoch });
  }

  /**
   * True: its worker says that it does not have it and never will at this epoch. Of a pin that stands at its worker this is so where
   * a server of the store was replaced by one that has not heard that it left (S10).
   */
  async isAbsent(pin: Pin): Promise<boolean> {
    const outcome = await this.check(instanceKey(pin.identity), pin);
    return outcome.phase === 'refused' && outcome.error.code === 'NotFound';
  }

  #enqueue({ workerId, bootId, identity }: Pin, instance: PlaceInstance): Promise<PlaceOutcome> {
    if (workerId === null || bootId === null) {
      const error = new HoldfastError('Internal', 'a pin at `placing` names no worker; it was not written by a router');
      return Promise.resolve({ phase: 'refused', error });
    }
    return new Promise((settle) => {
      this.#queueOf({ account: identity.account, workerId, bootId }).waiters.push({ instance, settle });
    });
  }

  #queueOf(to: Addressee): Queue {
    const key = `${to.account}/${to.workerId}/${to.bootId}`;
    let queue = this.#queues.get(key);
    if (queue === undefined) {
      queue = { to, waiters: [] };
      this.#queues.set(key, queue);
      setImmediate(() => this.#flush(key));
    }
    return queue;
  }

  #flush(key: string): void {
    const queue = this.#queues.get(key);
    this.#queues.delete(key);
    if (queue === undefined) return;
    for (const batch of batches(queue.waiters)) void this.#send(queue.to, batch);
  }

  async #send(to: Addressee, batch: readonly Waiter[]): Promise<void> {
    const outcomes = await this.#ask(to, batch);
    batch.forEach((waiter, i) => {
      const outcome = outcomes[i] ?? unknown(new Error('no answer in the batch'));
      if (waiter.instance.pin.length > 0) this.#metrics?.countPlace(outcome.phase);
      waiter.settle(outcome);
    });
  }

  async #ask(to: Addressee, batch: readonly Waiter[]): Promise<PlaceOutcome[]> {
    const op = { $case: 'place' as const, value: { instances: batch.map((waiter) => waiter.instance) } };
    try {
      const { replies } = await askWorker(this.#bus, to, { op, timeoutMs: answerWithinMs, signal: this.#closed });
      return replies.map(outcomeOf);
    } catch (error) {
      return batch.map(() => unknown(error));
    }
  }
}

function outcomeOf({ result }: PlaceReply): PlaceOutcome {
  if (result?.$case === 'active' && result.value) return { phase: 'active' };
  if (result?.$case === 'refused') return { phase: 'refused', error: decodeError(result.value) };
  return unknown(new Error('an empty place reply'));
}

function unknown(cause: unknown): PlaceOutcome {
  if (isHoldfastError(cause)) return { phase: 'unknown', error: cause };
  return { phase: 'unknown', error: new HoldfastError('Unavailable', `place request: ${String(cause)}`, { cause }) };
}

function* batches(waiters: readonly Waiter[]): Iterable<Waiter[]> {
  let batch: Waiter[] = [];
  let bytes = 0;
  for (const waiter of waiters) {
    if (batch.length === maxBatchCount || (batch.length > 0 && bytes + bytesOf(waiter) > maxBatchBytes)) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(waiter);
    bytes += bytesOf(waiter);
  }
  if (batch.length > 0) yield batch;
}

function bytesOf({ instance }: Waiter): number {
  return keyBytes + instance.pin.length;
}
