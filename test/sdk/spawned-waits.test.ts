import { describe, expect, test } from 'vitest';
import { HoldfastError } from '../../src/common/errors.js';
import { remoteSpawned } from '../../src/sdk/calls/remote-spawned.js';
import { SpawnedWaits } from '../../src/sdk/sessions/spawned-waits.js';
import { encodeValue } from '../../src/wire/codec/codec.js';
import { ManualClock } from '../manual-clock.js';

interface Asked {
  readonly id: string;
  readonly waitMs: number;
  readonly answer: () => void;
}

/** A control stream that answers when it is told to. */
function waits() {
  const asked: Asked[] = [];
  const clock = new ManualClock();
  let underway = 0;
  let most = 0;
  const ask = (
    ...[_wanted, op, { signal }]: readonly [string, { value: { id: string; waitMs: number } }, { signal?: AbortSignal }]
  ) => {
    underway += 1;
    most = Math.max(most, underway);
    return new Promise((resolve, reject) => {
      const leave = (then: () => void) => (): void => {
        underway -= 1;
        then();
      };
      const { id, waitMs } = op.value;
      asked.push({ id, waitMs, answer: leave(() => resolve({ id })) });
      signal?.addEventListener(
        'abort',
        leave(() => reject(signal.reason)),
      );
    });
  };
  return { asked, clock, of: new SpawnedWaits({ ask } as never, clock), most: () => most };
}

const forEver = { leftMs: Number.POSITIVE_INFINITY, signal: null };
const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('the waits of a client for spawned calls', () => {
  test('are so many at once, and each has its turn in its order', async () => {
    const { of, asked, most } = waits();
    const all = Array.from({ length: 20_000 }, (_, number) => of.wait(`call-${number}`, forEver));
    await turn();
    expect(asked.length).toBe(8_192);
    // One that has many behind it, or beside it, leaves its place sooner.
    expect(asked[0]?.waitMs).toBeGreaterThan(asked.at(-1)?.waitMs ?? Infinity);
    for (let answered = 0; answered < 20_000; answered += 1) {
      asked[answered]?.answer();
      while (asked.length < Math.min(20_000, answered + 1 + 8_192)) await turn();
    }
    await Promise.all(all);
    expect(most()).toBe(8_192);
    expect(asked.map(({ id }) => id)).toEqual(Array.from({ length: 20_000 }, (_, number) => `call-${number}`));
  });

  test('that nobody limits keep their place, however long it takes', async () => {
    const { of, asked, clock } = waits();
    const first = Array.from({ length: 8_192 }, (_, number) => of.wait(`call-${number}`, forEver));
    const patient = of.wait('patient', forEver);
    await turn();
    clock.advance(600_000);
    await turn();
    const later = of.wait('later', forEver);
    asked[0]?.answer();
    await turn();
    expect(asked.at(-1)?.id).toBe('patient');
    for (const { answer } of asked.slice(1)) answer();
    await turn();
    asked.at(-1)?.answer();
    await Promise.all([...first, patient, later]);
  });

  test('are asked for again where no router answers the first time, whenever that was', async () => {
    const clock = new ManualClock();
    let asked = 0;
    const waitForSpawned = async (id: string) => {
      asked += 1;
      // Of which it waited most for its turn.
      clock.jump(120_000);
      if (asked === 1) throw new HoldfastError('Unavailable', 'no router answers');
      return { id, state: 'succeeded', answer: encodeValue('done') };
    };
    const call = remoteSpawned({ clock, isClosed: false, waitForSpawned } as never, 'fc-1' as never);
    const got = call.get({}).catch((error: unknown) => error);
    await turn();
    clock.advance(200);
    expect(await got).toBe('done');
  });

  test('end by their signal or their time while they have no turn, and keep no other from his', async () => {
    const { of, asked, clock } = waits();
    const first = Array.from({ length: 8_192 }, (_, number) => of.wait(`call-${number}`, forEver));
    const stop = new AbortController();
    const aborted = of.wait('aborted', { ...forEver, signal: stop.signal }).catch((error: unknown) => error);
    const late = of.wait('late', { leftMs: 100, signal: null }).catch((error: unknown) => error);
    const next = of.wait('next', forEver);
    await turn();
    stop.abort();
    clock.advance(101);
    expect(await aborted).toMatchObject({ code: 'DeadlineExceeded', outcome: 'unknown' });
    expect(await late).toMatchObject({ code: 'DeadlineExceeded', outcome: 'unknown' });
    asked[0]?.answer();
    await turn();
    expect(asked.at(-1)?.id).toBe('next');
    for (const { answer } of asked.slice(1)) answer();
    await Promise.all([...first, next]);
  });
});
