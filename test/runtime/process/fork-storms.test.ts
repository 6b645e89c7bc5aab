import { spawn } from 'node:child_process';
import { afterEach, expect, test } from 'vitest';
import type { Forks } from '../../../src/runtime/process/cgroup-holding.js';
import { ForkStorms } from '../../../src/runtime/process/fork-storms.js';
import { ManualClock } from '../../manual-clock.js';

const lookMs = 250;
const { pid } = process;

/** What a test says of its processes, and what was done to them. */
class FakeForks implements Forks {
  isHeldBack = false;
  refusedSoFar = 0;
  processes = 100;
  reads = 0;
  fails = false;
  free: readonly number[] = [];
  readonly done: string[] = [];

  refused(): number {
    this.reads += 1;
    return this.refusedSoFar;
  }

  count(): number {
    return this.processes;
  }

  async holdBack(cores: number, free: readonly number[]): Promise<void> {
    if (this.fails) throw new Error('gone');
    this.isHeldBack = true;
    this.free = free;
    this.done.push(`held to ${cores}`);
  }

  letGo(): void {
    this.isHeldBack = false;
    this.done.push('let go');
  }
}

function world(of = 1) {
  const clock = new ManualClock();
  const storms = new ForkStorms(clock);
  const all = Array.from({ length: of }, () => new FakeForks());
  const stops = all.map((forks) => storms.watch({ pid, forks }));
  const look = async (isBusy = true): Promise<void> => {
    clock.advance(lookMs);
    storms.look(isBusy);
    await Promise.resolve(); // what is moved is moved
    await Promise.resolve();
    await Promise.resolve();
  };
  return { all, first: all[0] as FakeForks, look, stops, clock };
}

const children: ReturnType<typeof spawn>[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

test('who is refused 32 processes a second is held back, without its first process and the children of that', async () => {
  const child = spawn('sleep', ['1000']);
  children.push(child);
  const { first, look } = world();
  first.refusedSoFar = 7;
  await look();
  expect(first.done).toEqual([]);
  first.refusedSoFar += 8;
  await look();
  expect(first.done).toEqual(['held to 0.01']);
  expect(first.free[0]).toBe(pid);
  expect(first.free).toContain(child.pid);
});

test('is let go when it was refused none for ten seconds, and not before', async () => {
  const { first, look } = world();
  first.refusedSoFar = 100;
  await look();
  for (let looks = 0; looks < 39; looks += 1) await look(false);
  expect(first.done).toEqual(['held to 0.01']);
  await look(false);
  expect(first.done).toEqual(['held to 0.01', 'let go']);
});

test('is let go when it is ending: fewer in two looks one after the other, and none refused', async () => {
  const { first, look } = world();
  first.refusedSoFar = 100;
  await look();
  const steps: [refused: number, fewer: number][] = [
    [0, 5],
    [1, 5],
    [0, 5],
    [0, 0],
    [0, 5],
  ];
  for (const [refused, fewer] of steps) {
    first.refusedSoFar += refused;
    first.processes -= fewer;
    await look(false);
  }
  expect(first.done).toEqual(['held to 0.01']);
  first.processes -= 1;
  await look(false);
  expect(first.done).toEqual(['held to 0.01', 'let go']);
});

test('another storm beside what is held back is held back, too; the few that a held one is still refused are none', async () => {
  const { first, look } = world();
  for (const refused of [100, 80, 80, 80, 79]) {
    first.refusedSoFar += refused;
    await look();
  }
  expect(first.done).toEqual(['held to 0.01']); // less than a second ago, or too few
  first.refusedSoFar += 80;
  await look();
  expect(first.done).toEqual(['held to 0.01', 'held to 0.01']);
});

test('who was let go meanwhile, to be frozen, is held back again', async () => {
  const { first, look } = world();
  first.refusedSoFar = 100;
  await look();
  first.isHeldBack = false;
  for (let looks = 0; looks < 4; looks += 1) {
    first.refusedSoFar += 8;
    await look(false);
  }
  expect(first.done).toEqual(['held to 0.01', 'held to 0.01']);
});

test('a look reads 16 at most, each in its turn, and none while nobody is busy', async () => {
  const { all, look } = world(40);
  await look(false);
  expect(all.every(({ reads }) => reads === 0)).toBe(true);
  for (const seen of [16, 32, 40]) {
    await look();
    expect(all.filter(({ reads }) => reads > 0)).toHaveLength(seen);
  }
  expect(all.reduce((sum, { reads }) => sum + reads, 0)).toBe(48);
});

test('who has ended is not looked at any more', async () => {
  const { first, look, stops } = world();
  first.refusedSoFar = 100;
  await look();
  stops[0]?.();
  await look();
  expect(first.reads).toBe(1);
});

test('who storms again soon after it was ending is let go after twice as many looks, and who does so later is not', async () => {
  const { first, look, clock } = world();
  const looksUntilLetGo = async (): Promise<number> => {
    first.done.length = 0;
    first.refusedSoFar += 1_000_000;
    await look();
    for (let looks = 1; ; looks += 1) {
      first.processes -= 1;
      await look();
      if (first.done.includes('let go')) return looks;
      if (looks > 40) throw new Error(`never let go: ${first.done}`);
    }
  };
  const found: number[] = [];
  for (const pauseMs of [1_000, 1_000, 1_000, 31_000]) {
    found.push(await looksUntilLetGo());
    clock.advance(pauseMs);
  }
  expect([...found, await looksUntilLetGo()]).toEqual([2, 4, 8, 16, 2]);
});

test('is tried again where it could not be held back', async () => {
  const { first, look } = world();
  first.fails = true;
  for (const fails of [true, true, true, true, false]) {
    first.fails = fails;
    first.refusedSoFar += 8;
    await look();
  }
  expect(first.done).toEqual(['held to 0.01']);
});
