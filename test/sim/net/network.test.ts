import '../engine/globals.js';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SeededRandom } from '../engine/seeded-random.js';
import type { SimProcess } from '../engine/sim-process.js';
import { Timeline } from '../engine/timeline.js';
import { Machine } from '../parts/machine.js';
import { Connection } from './connection.js';
import { dial } from './dial.js';
import { Network } from './network.js';
import { BusServer } from './sim-bus.js';

interface Pair {
  readonly timeline: Timeline;
  readonly network: Network;
  readonly a: SimProcess;
  readonly b: SimProcess;
  readonly machines: { readonly a: Machine; readonly b: Machine };
}

function pair(seed = 's'): Pair {
  const timeline = new Timeline(new SeededRandom(seed), { isTraced: false });
  const network = new Network(timeline, { baseMs: 1, jitterMs: 10, tailChance: 0.1, tailMs: 100, localTailMs: 0 });
  const machines = {
    a: new Machine(timeline, 'a', { drift: 0, slowKills: 0 }),
    b: new Machine(timeline, 'b', { drift: 0, slowKills: 0 }),
  };
  return { timeline, network, a: machines.a.start('a'), b: machines.b.start('b'), machines };
}

/** What reaches b, message by message, and how it closed. */
function received({ network, a, b }: Pair): { readonly left: Connection['left']; readonly seen: (number | string)[] } {
  const { left, right } = new Connection(network, a, b);
  const seen: (number | string)[] = [];
  const ignore = (): void => undefined;
  left.open({ onMessage: ignore, onDrain: ignore, onClosed: ignore });
  right.open({
    onMessage: (message) => seen.push(message[0] as number),
    onDrain: ignore,
    onClosed: (error) => seen.push(error === null ? 'closed' : 'broken'),
  });
  return { left, seen };
}

const numbers = Array.from({ length: 50 }, (_, i) => i);

test('a connection delivers in order, whatever each message takes', async () => {
  const world = pair();
  const { left, seen } = received(world);
  world.a.in(1, () => {
    for (const number of numbers) left.send(Uint8Array.of(number));
    left.close();
  });
  await world.timeline.run(1_000, () => false);
  expect(seen).toEqual([...numbers, 'closed']);
});

test('a short cut delays, a long one breaks both ends, and what arrived is always a beginning of what was sent', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 20_000 }), fc.boolean(), fc.string(), async (cutMs, isOneWay, seed) => {
      const world = pair(seed);
      const { a, b, network, timeline } = world;
      const { left, seen } = received(world);
      for (const number of numbers) a.in(number * 10, () => left.send(Uint8Array.of(number)));
      b.in(200, () => {
        network.cut(a.host, b.host);
        if (!isOneWay) network.cut(b.host, a.host);
      });
      b.in(200 + cutMs, () => {
        network.heal(a.host, b.host);
        if (!isOneWay) network.heal(b.host, a.host);
      });
      await timeline.run(40_000, () => false);
      const arrived = seen.filter((each) => typeof each === 'number');
      expect(arrived).toEqual(numbers.slice(0, arrived.length));
      if (cutMs < 3_000) expect(arrived).toEqual(numbers);
      if (cutMs > 8_000) expect(seen.at(-1)).toBe('broken');
    }),
    { numRuns: 60 },
  );
});

test('a killed process is noticed at once, a machine without power only after its silence', async () => {
  const noticedAt = async (isPowerOff: boolean): Promise<number> => {
    const world = pair();
    const { timeline, a, machines } = world;
    const { seen } = received(world);
    const nature = new Machine(timeline, 'nature', { drift: 0, slowKills: 0 }).kernel;
    nature.in(100, () => (isPowerOff ? machines.a.crash() : a.kill()));
    await timeline.run(60_000, () => seen.length > 0);
    return timeline.now;
  };
  expect(await noticedAt(false)).toBeLessThan(300);
  expect(await noticedAt(true)).toBeGreaterThan(3_000);
});

test('dialling a machine where nobody listens is refused, one that is away is given up in time', async () => {
  const closedAt = async (isDown: boolean): Promise<number> => {
    const { timeline, network, a, b, machines } = pair();
    machines.b.host.isDown = isDown;
    let at = 0;
    a.in(1, () => {
      const channel = dial(network, a, { host: b.host, find: () => null, withinMs: 5_000 });
      channel.open({ onMessage: () => undefined, onDrain: () => undefined, onClosed: () => (at = timeline.now) });
    });
    await timeline.run(60_000, () => at > 0);
    return at;
  };
  expect(await closedAt(false)).toBeLessThan(300);
  const given = await closedAt(true);
  expect(given).toBeGreaterThan(4_999);
  expect(given).toBeLessThan(6_000);
});

test('the bus answers requests, says that nobody listens, and loses what is sent over a cut link', async () => {
  const { timeline, network, a, b } = pair();
  const process = new Machine(timeline, 'bus', { drift: 0, slowKills: 0 }).start('bus');
  const server = new BusServer({ process, network, reorders: false, onError: () => undefined });
  const [here, there] = [server.connect(a), server.connect(b)];
  const seen: string[] = [];
  there.subscribe('echo', (message) => message.respond(message.payload));
  const ask = async (subject: string): Promise<void> => {
    const answer = here.request(subject, Uint8Array.of(7), { timeoutMs: 900 });
    seen.push(
      await answer.then(
        String,
        (error: { readonly code: string; readonly outcome: string }) => `${error.code} ${error.outcome}`,
      ),
    );
  };
  a.in(1, () => void ask('echo'));
  a.in(500, () => void ask('nobody'));
  a.in(1_000, () => {
    network.cut(a.host, process.host);
    void ask('echo');
  });
  await timeline.run(3_000, () => false);
  expect(seen).toEqual(['7', 'Unavailable not-run', 'Unavailable unknown']);
});
