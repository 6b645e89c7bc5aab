import type { Clock, Random } from '../../common/clock.js';
import { type InstanceKey, instanceKey } from '../../common/ids.js';
import type { Pin, PinChange, PinChangeResult } from '../../common/pin.js';
import type { Bus } from '../../common/ports/bus.js';
import type { PinStore } from '../../common/ports/store.js';
import { PinEvent } from '../../wire/gen/holdfast/v1/bus.js';
import { pinEventSubject } from '../../wire/subjects.js';
import { type Patience, patiently } from '../patience.js';

const maxKeysPerRead = 1_000;

interface Read {
  readonly key: InstanceKey;
  readonly resolve: (pin: Pin | null) => void;
  readonly reject: (error: unknown) => void;
}

/** The pins as the router uses them: reads of one tick in one round trip, changes until it is known what became of them. */
export class Pins {
  readonly #store: PinStore;
  readonly #bus: Bus;
  readonly #clock: Clock;
  readonly #random: Random;
  #reads: Read[] = [];

  constructor(parts: { store: PinStore; bus: Bus; clock: Clock; random: Random }) {
    this.#store = parts.store;
    this.#bus = parts.bus;
    this.#clock = parts.clock;
    this.#random = parts.random;
  }

  /** For one change; a change that is tried again keeps it (S4). */
  newOpId(): string {
    return Buffer.from(this.#random.bytes(12)).toString('base64url');
  }

  read(key: InstanceKey, patience: Patience): Promise<Pin | null> {
    return patiently(this.#clock, patience, () => this.#readSoon(key));
  }

  /**
   * Who has the pin after the attempt. An attempt whose answer is lost is made again with its opId until it is known (S4).
   */
  async change(key: InstanceKey, change: PinChange, patience: Patience): Promise<PinChangeResult> {
    const result = await patiently(this.#clock, patience, () => this.#store.change(key, change));
    if (result.applied) this.#announce(result.pin);
    return result;
  }

  /** What only this router changed: others who wait for the pin need not wait for their next look. */
  #announce(pin: Pin): void {
    if (pin.state === 'placing') return;
    const key = instanceKey(pin.identity);
    const event = PinEvent.encode({ key, epoch: pin.epoch, state: pin.state, endedCalls: [] }).finish();
    this.#bus.publish(pinEventSubject(pin.identity.account, key), event);
  }

  #readSoon(key: InstanceKey): Promise<Pin | null> {
    return new Promise((resolve, reject) => {
      this.#reads.push({ key, resolve, reject });
      if (this.#reads.length === 1) setImmediate(() => this.#flushReads());
    });
  }

  #flushReads(): void {
    const reads = this.#reads;
    this.#reads = [];
    for (let from = 0; from < reads.length; from += maxKeysPerRead) {
      const part = reads.slice(from, from + maxKeysPerRead);
      this.#store.getMany(part.map((read) => read.key)).then(
        (pins) => part.forEach((read, i) => void read.resolve(pins[i] ?? null)),
        (error) => part.forEach((read) => void read.reject(error)),
      );
    }
  }
}
