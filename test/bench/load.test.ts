import { describe, expect, it } from 'vitest';
import { checkTarget } from '../../bench/load/check.js';
import { runClosedLoop } from '../../bench/load/closed-loop.js';
import { FirstCalls, type FirstCallsPlan } from '../../bench/load/first-calls.js';
import { readItems } from '../../bench/load/items.js';
import { mergeSamples } from '../../bench/load/latencies.js';
import type { Value } from '../../bench/load/payload.js';
import { nameOfPin, runResolves } from '../../bench/load/resolves.js';
import type { Target } from '../../bench/load/target.js';
import type { Contender } from '../../bench/processes/contender.js';
import { warmUpNames } from '../../bench/scenarios/new-names.js';

const payload = { bytes: 64, as: 'text' } as const;
const plan = { callers: 3, calls: 24, inFlight: 4, payload };

/** Answers as `answer` says, and counts. */
function target(answer: (value: Value, number: number) => Promise<Value>): Target & { readonly turns: number[] } {
  const turns: number[] = [];
  return {
    turns,
    call: (value, turn) => answer(value, turns.push(turn)),
    executed: async () => turns.length,
    close: async () => undefined,
  };
}

async function* upTo(count: number, step: number): AsyncGenerator<number> {
  for (let item = 0; item < count; item += step) yield item;
}

describe('the checker', () => {
  it('accepts answers that are right, in order and run once', async () => {
    expect(
      await checkTarget(
        target(async (value) => value),
        plan,
      ),
    ).toBe(24);
  });

  it("refuses another call's answer", async () => {
    let last: Value = '';
    const swapped = target(async (value) => {
      const answer = last === '' ? value : last;
      last = value;
      return answer;
    });
    await expect(checkTarget(swapped, plan)).rejects.toThrow(/got another call's answer/);
  });

  it('refuses answers of one caller that overtake each other', async () => {
    const overtaking = target(async (value, number) => {
      if (number % 2 === 1) await new Promise((resolve) => setImmediate(resolve));
      return value;
    });
    await expect(checkTarget(overtaking, plan)).rejects.toThrow(/was answered after/);
  });

  it('refuses calls that ran twice', async () => {
    const twice = target(async (value) => value);
    await expect(checkTarget({ ...twice, executed: async () => twice.turns.length * 2 }, plan)).rejects.toThrow(
      '24 calls were answered, but 48 ran',
    );
  });

  it('has the limits checked where there are some', async () => {
    const limited = {
      ...target(async (value) => value),
      checkLimits: async () => Promise.reject(new Error('off by one')),
    };
    await expect(checkTarget(limited, plan)).rejects.toThrow('off by one');
  });
});

describe('a closed loop', () => {
  it('has as many calls under way as callers, and goes round where there are more instances', async () => {
    let underWay = 0;
    let most = 0;
    const counting = target(async (value) => {
      underWay += 1;
      most = Math.max(most, underWay);
      await new Promise((resolve) => setImmediate(resolve));
      underWay -= 1;
      return value;
    });
    const { calls } = mergeSamples([await runClosedLoop(counting, { callers: 4, payload, seconds: 0.05, thinkMs: 0 })]);
    expect(calls).toBe(counting.turns.length);
    expect(most).toBe(4);
    expect(new Set(counting.turns.map((turn) => turn % 8)).size).toBe(8);
  });

  it('asks for every name before it asks for one again', async () => {
    const asked: string[] = [];
    const names = Array.from({ length: 50 }, (_, index) => nameOfPin(index));
    await runResolves(async (_, name) => void asked.push(name), {
      className: 'A',
      callers: 2,
      seconds: 0.02,
      names: 50,
    });
    expect(new Set(asked.slice(0, 50))).toEqual(new Set(names));
  });

  it('reads generators to their end, and refuses items that are missing', async () => {
    const read = await readItems((count) => upTo(count, 1), { readers: 2, items: 5 });
    expect(mergeSamples([read]).calls).toBe(10);
    await expect(readItems((count) => upTo(count, 2), { readers: 1, items: 5 })).rejects.toThrow('item 1');
    await expect(readItems((count) => upTo(count - 1, 1), { readers: 1, items: 5 })).rejects.toThrow('ended after 4');
  });

  it('calls each new name once and ends only those that shall end', async () => {
    const called: string[] = [];
    const ended: string[] = [];
    const firstCall = async (_: string, name: string) => {
      called.push(name);
      return async () => void ended.push(name);
    };
    const firstCalls = new FirstCalls();
    const some = { className: 'A', callers: 2, names: 3, pauseMs: 0 };
    await firstCalls.run(firstCall, { ...some, prefix: 'stays', endsLater: false });
    await firstCalls.run(firstCall, { ...some, prefix: 'ends', endsLater: true });
    await firstCalls.end();
    expect(called).toEqual(['stays-0', 'stays-1', 'stays-2', 'ends-0', 'ends-1', 'ends-2']);
    expect(ended).toEqual(['ends-0', 'ends-1', 'ends-2']);
  });

  it.each([
    ['holdfast', false],
    ['tcp-container', true],
  ])('warms %s up with names of several callers and then of one, none of them twice', async (name, endsLater) => {
    const asked: FirstCallsPlan[] = [];
    let ends = 0;
    const contender = {
      name,
      measure: async (_: string, plan: FirstCallsPlan) => void asked.push(plan),
      endFirstCalls: async () => {
        ends += 1;
      },
    } as unknown as Contender;
    await warmUpNames(contender, 2_500);
    expect(asked.map(({ callers, names }) => [callers, names])).toEqual([
      ...[1_000, 1_000, 500].map((names) => [8, names]),
      [1, 250],
    ]);
    expect(new Set(asked.map(({ prefix }) => prefix)).size).toBe(4);
    for (const plan of asked) expect(plan).toMatchObject({ className: 'Packed', endsLater, pauseMs: 0 });
    expect(ends).toBe(4);
  });
});
