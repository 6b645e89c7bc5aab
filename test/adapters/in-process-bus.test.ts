import { describe, expect, test } from 'vitest';
import { createBusHub, type InProcessBus } from '../../src/adapters/embedded/in-process-bus.js';
import { systemClock } from '../../src/adapters/system/clock.js';
import { describeBus } from '../contracts/bus-contract.js';

describeBus('an in-process bus', async () => {
  const errors: unknown[] = [];
  const hub = createBusHub({ clock: systemClock, onError: (error) => errors.push(error) });
  const open: InProcessBus[] = [];
  return {
    connect: async () => {
      const bus = hub.connect();
      open.push(bus);
      return bus;
    },
    cut: async () => {
      for (const bus of open) bus.cut();
    },
    restore: async () => {
      for (const bus of open) bus.restore();
    },
    errors,
    [Symbol.asyncDispose]: async () => undefined,
  };
});

describe('a hub', () => {
  test('a connection that is cut loses what is on its way, and no other does', async () => {
    const hub = createBusHub({ clock: systemClock });
    const [sender, cut, whole] = [hub.connect(), hub.connect(), hub.connect()];
    const heard: string[] = [];
    cut.subscribe('s', () => heard.push('cut'));
    const arrived = new Promise<void>((resolve) => whole.subscribe('s', () => resolve()));
    sender.publish('s', new Uint8Array());
    cut.cut();
    await arrived;
    cut.restore();
    expect(heard).toEqual([]);
    expect(cut.isConnected).toBe(true);
  });

  test('messages that nobody has time to read are dropped beyond a bound, and requests are refused', async () => {
    const hub = createBusHub({ clock: systemClock });
    const bus = hub.connect();
    let heard = 0;
    bus.subscribe('s', () => {
      heard += 1;
    });
    for (let i = 0; i < 70_000; i++) bus.publish('s', new Uint8Array());
    await expect(bus.request('s', new Uint8Array(), { timeoutMs: 1_000 })).rejects.toMatchObject({
      code: 'Unavailable',
      outcome: 'not-run',
    });
    await new Promise(setImmediate);
    expect(heard).toBe(65_536);
  });
});
