import { describe, expect, it } from 'vitest';
import { HoldfastError } from '../../../src/common/errors.js';
import { TimerWheel } from '../../../src/common/timer-wheel.js';
import { type Flight, Flights } from '../../../src/router/pins/flights.js';
import { OpenRequest } from '../../../src/router/service/request.js';
import { ManualClock } from '../../manual-clock.js';
import { account } from '../harness.js';

function parts() {
  const clock = new ManualClock();
  const wheel = new TimerWheel(clock, 10);
  const request = (ms: number) => new OpenRequest({ kind: 'client', account, role: 'call' }, ms, { clock, wheel });
  return { clock, flights: new Flights<string>(clock), request };
}

describe('a flight', () => {
  it('is shared by those who ask while it is under way, and by no one after', async () => {
    const { flights, request } = parts();
    let runs = 0;
    const run = async () => `run ${++runs}`;
    const both = await Promise.all([flights.join('k', request(1_000), run), flights.join('k', request(1_000), run)]);
    expect(both).toEqual(['run 1', 'run 1']);
    expect(await flights.join('k', request(1_000), run)).toBe('run 2');
  });

  it('goes on until the last of its waiters has left, and is abandoned then', async () => {
    const { clock, flights, request } = parts();
    let flight: Flight | null = null;
    const run = (own: Flight) => {
      flight = own;
      own.waiting.what = 'the moon';
      return new Promise<string>(() => undefined);
    };
    const soon = flights.join('k', request(100), run);
    const late = flights.join('k', request(200), run);
    const outcomes = Promise.allSettled([soon, late]);
    clock.advance(150);
    await expect(soon).rejects.toMatchObject({ code: 'DeadlineExceeded', details: { waitedFor: 'the moon' } });
    expect((flight as Flight | null)?.signal.aborted).toBe(false);
    clock.advance(100);
    await outcomes;
    expect((flight as Flight | null)?.signal.aborted).toBe(true);
    await expect(flights.join('k', request(100), async () => 'a new one')).resolves.toBe('a new one');
  });

  it('tells at the deadline why there was no progress, where it knows', async () => {
    const { clock, flights, request } = parts();
    const why = new HoldfastError('NoCapacity', 'all are full');
    const asked = flights.join('k', request(100), ({ waiting }) => {
      waiting.instead = why;
      return new Promise<string>(() => undefined);
    });
    clock.advance(150);
    await expect(asked).rejects.toBe(why);
  });
});
