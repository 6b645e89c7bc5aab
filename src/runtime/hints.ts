import type { Bus } from '../common/ports/bus.js';

/** Publishes what may be lost: whatever the bus says of it, nothing that a worker does may end because of it. */
export function publishHint(bus: Bus, subject: () => string, payload: () => Uint8Array): void {
  try {
    bus.publish(subject(), payload());
  } catch {
    // Too long for the bus, a name that makes no subject, or a connection that is just closing: lost, as it may be.
  }
}
