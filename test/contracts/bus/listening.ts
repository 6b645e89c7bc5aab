import { randomUUID } from 'node:crypto';
import { systemClock } from '../../../src/adapters/system/clock.js';
import { isHoldfastError } from '../../../src/common/errors.js';
import type { Bus, BusMessage } from '../../../src/common/ports/bus.js';

export const maxPayloadBytes = 1_048_576;
export const patient = { timeoutMs: 5_000 };

export function fresh(): string {
  return `test.${randomUUID()}`;
}

export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

export function text({ payload }: Pick<BusMessage, 'payload'>): string {
  return Buffer.from(payload).toString('utf8');
}

/** Subscribes, and waits until messages of this bus arrive there. */
export async function listen(
  bus: Bus,
  subject: string,
  onMessage: (message: BusMessage) => void,
): Promise<{ unsubscribe(): void }> {
  const subscription = bus.subscribe(subject, onMessage);
  // A server takes what one connection sends in order: once this is answered, the subscription stands.
  if (bus.isConnected) {
    const echo = fresh();
    const listener = bus.subscribe(echo, (message) => message.respond(message.payload));
    await bus.request(echo, bytes(''), patient);
    listener.unsubscribe();
  }
  return subscription;
}

export async function collect(
  bus: Bus,
  subject: string,
  count: number,
): Promise<{ readonly all: Promise<BusMessage[]> }> {
  const messages: BusMessage[] = [];
  let complete: (messages: BusMessage[]) => void;
  const all = new Promise<BusMessage[]>((resolve) => {
    complete = resolve;
  });
  await listen(bus, subject, (message) => {
    messages.push(message);
    if (messages.length === count) complete(messages);
  });
  return { all };
}

/** A subject where `bus` answers with what it was sent. */
export async function responder(bus: Bus): Promise<string> {
  const subject = fresh();
  await listen(bus, subject, (message) => message.respond(message.payload));
  return subject;
}

export async function silent(bus: Bus): Promise<string> {
  const subject = fresh();
  await listen(bus, subject, () => undefined);
  return subject;
}

/** Until a subscription of another connection is known to that of `bus`. */
export async function heardBy(bus: Bus, subject: string): Promise<void> {
  for (let attempt = 0; attempt < 500; attempt++) {
    try {
      await bus.request(subject, bytes('known?'), patient);
      return;
    } catch (error) {
      if (!isHoldfastError(error, 'Unavailable')) throw error;
      await systemClock.sleep(10);
    }
  }
  throw new Error(`nobody listens on ${subject} after 5 s`);
}

export async function until(isSo: () => boolean): Promise<void> {
  for (let attempt = 0; attempt < 1_000; attempt++) {
    if (isSo()) return;
    await systemClock.sleep(10);
  }
  throw new Error('still not so after 10 s');
}
