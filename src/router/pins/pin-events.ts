import type { Clock } from '../../common/clock.js';
import type { Logger } from '../../common/context.js';
import type { InstanceKey } from '../../common/ids.js';
import type { Bus, BusSubscription } from '../../common/ports/bus.js';
import { PinEvent } from '../../wire/gen/holdfast/v1/bus.js';
import { allPinEventsSubject } from '../../wire/subjects.js';
import type { SpawnedEnds } from '../spawned-ends.js';
import { Turnstile } from './turnstile.js';

/** Wakes those who wait for a pin to change. Events may be lost, so every wait has an end and is followed by a read. */
export class PinEvents {
  readonly #clock: Clock;
  readonly #subscriptions: BusSubscription[];
  readonly #turnstiles = new Map<string, Turnstile>();

  constructor(options: { bus: Bus; clock: Clock; log: Logger; accounts: readonly string[]; ends: SpawnedEnds }) {
    const { bus, clock, log, accounts, ends } = options;
    this.#clock = clock;
    this.#subscriptions = accounts.map((account) =>
      bus.subscribe(allPinEventsSubject(account), ({ payload, subject }) => {
        try {
          const { key, endedCalls } = PinEvent.decode(payload);
          for (const id of endedCalls) ends.ended(id);
          if (endedCalls.length === 0) this.#turnstiles.get(key)?.open();
        } catch (error) {
          log.warn('pin-event.malformed', { subject, bytes: payload.length, error: String(error) });
        }
      }),
    );
  }

  /** Resolves at the pin's next event or after `atMostMs`. @throws the signal's reason */
  async next(key: InstanceKey, atMostMs: number, signal: AbortSignal): Promise<void> {
    let turnstile = this.#turnstiles.get(key);
    if (turnstile === undefined) {
      turnstile = new Turnstile(this.#clock);
      this.#turnstiles.set(key, turnstile);
    }
    try {
      await turnstile.pass(atMostMs, signal);
    } finally {
      if (turnstile.isEmpty && this.#turnstiles.get(key) === turnstile) this.#turnstiles.delete(key);
    }
  }

  close(): void {
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
  }
}
