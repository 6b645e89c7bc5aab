import { afterAll, beforeAll, describe } from 'vitest';
import type { Bus } from '../../src/common/ports/bus.js';
import { awayTests } from './bus/away.js';
import { messageTests } from './bus/messages.js';
import { requestTests } from './bus/requests.js';

export interface BusUnderTest extends AsyncDisposable {
  /** A connection of its own, whose handlers' errors go to `errors`. */
  connect(): Promise<Bus>;
  /** Ends the connections that are open, until `restore`. */
  cut(): Promise<void>;
  restore(): Promise<void>;
  readonly errors: unknown[];
}

/** What every bus must do. */
export function describeBus(name: string, make: () => Promise<BusUnderTest>): void {
  describe(name, () => {
    let made: BusUnderTest;
    const open: Bus[] = [];
    const context: BusContext = {
      connect: async () => {
        const bus = await made.connect();
        open.push(bus);
        return bus;
      },
      under: () => made,
    };
    beforeAll(async () => {
      made = await make();
    });
    afterAll(async () => {
      await Promise.all(open.map((bus) => bus.close()));
      await made?.[Symbol.asyncDispose]();
    });

    describe('messages', () => messageTests(context));
    describe('requests', () => requestTests(context));
    describe('a bus that is away or closed', () => awayTests(context));
  });
}

/** What the tests of a bus share. */
export interface BusContext {
  connect(): Promise<Bus>;
  under(): BusUnderTest;
}
