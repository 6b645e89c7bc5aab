import type { Clock } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import type { InstanceKey } from '../../common/ids.js';
import type { Pin } from '../../common/pin.js';
import type { PlaceSender } from '../placement/place-sender.js';
import { type Flight, OpenFlight } from './flights.js';
import type { Pins } from './pins.js';

/** In which a client has called what it was told of; many fit into one message then. */
const askAfterMs = 50;
/** Beyond these a pin is asked for before anybody is told of it. */
const maxWaiting = 16_384;
/** As long as a request has that says nothing else. */
const settleWithinMs = 60_000;

interface Parts {
  readonly clock: Clock;
  readonly sender: PlaceSender;
  readonly pins: Pick<Pins, 'read'>;
  readonly closed: AbortSignal;
  /** Takes a pin on from there, as for anybody who asks for it. */
  readonly settle: (key: InstanceKey, pin: Pin, flight: Flight) => Promise<unknown>;
}

interface Told {
  readonly key: InstanceKey;
  readonly pin: Pin;
}

/**
 * Pins that clients were told of before their workers were. A client brings the pin with its first call; a moment later the
 * worker hears of it from here too, for those who make none, and what it refuses is moved on (S5). A router that dies before
 * that leaves a pin at `placing`, as one that dies with a place request under way: whoever looks for it next asks again.
 */
export class BroughtPins {
  readonly #parts: Parts;
  #told: Told[] = [];
  #waiting = 0;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** False: there are too many; ask its worker now. @param pin stands at `placing` */
  expect(key: InstanceKey, pin: Pin): boolean {
    if (this.#waiting >= maxWaiting) return false;
    this.#waiting += 1;
    this.#told.push({ key, pin });
    if (this.#told.length === 1) this.#parts.clock.after(askAfterMs, () => this.#askForAll());
    return true;
  }

  #askForAll(): void {
    const told = this.#told;
    this.#told = [];
    for (const each of told) void this.#ask(each).finally(() => (this.#waiting -= 1));
  }

  /** Never rejects: nobody waits for it; who calls the instance finds out for himself. */
  async #ask({ key, pin }: Told): Promise<void> {
    const { clock, sender, closed } = this.#parts;
    if (closed.aborted) return;
    // Nearly all were brought by then.
    if ((await sender.check(key, pin)).phase === 'active' || closed.aborted) return;
    const flight = new OpenFlight(clock.monotonic(), (self) => this.#settle({ key, pin }, self));
    const late = (): void => flight.abandon(new HoldfastError('DeadlineExceeded', 'it took too long'));
    const timer = clock.after(settleWithinMs, late);
    closed.addEventListener('abort', late, { once: true });
    await flight.result.catch(() => undefined); // as said above
    closed.removeEventListener('abort', late);
    timer.cancel();
  }

  /** Only what stands as it was told: one that was active and has left since was asked for by nobody. */
  async #settle({ key, pin }: Told, flight: Flight): Promise<void> {
    const now = await this.#parts.pins.read(key, flight);
    if (now?.state === 'placing' && now.epoch === pin.epoch) await this.#parts.settle(key, now, flight);
  }
}
