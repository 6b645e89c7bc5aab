import { describe, expect, test } from 'vitest';
import { systemRandom } from '../../src/adapters/system/clock.js';
import { HoldfastError } from '../../src/common/errors.js';
import { type Client, clientWith } from '../../src/sdk/client.js';
import { ManualClock } from '../manual-clock.js';

/** A client whose first question finds a router that is noticed to be frozen after 6 s, and the next one an answer. */
function clientOf(endpoint: string): Client {
  const clock = new ManualClock();
  let asked = 0;
  const unary = async (): Promise<Uint8Array> => {
    asked += 1;
    if (asked > 1) return new Uint8Array(0);
    clock.advance(6_000);
    setImmediate(() => clock.advance(25));
    throw new HoldfastError('Unavailable', 'frozen', { outcome: 'unknown' });
  };
  const none = (): never => {
    throw new Error('not in this test');
  };
  const transport = { unary, openRouter: none, openWorker: none, close: async () => undefined };
  return clientWith({ transport, endpoint, clock, random: systemRandom });
}

describe('a question to a router that is frozen', () => {
  test('goes to another one, however long it took to notice', async () => {
    await using client = clientOf('a:1,b:1');
    expect(await client.workers()).toEqual([]);
  });

  test('has no answer where there is no other', async () => {
    await using client = clientOf('a:1');
    await expect(client.workers()).rejects.toMatchObject({ code: 'Unavailable', details: { endpoint: 'a:1' } });
  });
});
