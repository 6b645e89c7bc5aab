import type { InstanceKey } from '../common/ids.js';
import type { Bus } from '../common/ports/bus.js';
import { PinEvent } from '../wire/gen/holdfast/v1/bus.js';
import { pinEventSubject } from '../wire/subjects.js';

/** Publishes what may be lost: whatever the bus says of it, nothing that a worker does may end because of it. */
export function publishHint(bus: Bus, subject: () => string, payload: () => Uint8Array): void {
  try {
    bus.publish(subject(), payload());
  } catch {
    // Too long for the bus, a name that makes no subject, or a connection that is just closing: lost, as it may be.
  }
}

/** What became of a pin. */
export function announcePin(bus: Bus, account: string, event: PinEvent): void {
  publishHint(
    bus,
    () => pinEventSubject(account, event.key as InstanceKey),
    () => PinEvent.encode(event).finish(),
  );
}
