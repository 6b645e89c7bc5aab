import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CancelReason, FrameKind } from '../../../src/wire/frames/frames.js';
import { type ScriptedContainer, u32 } from '../scripted-container.js';
import { turns, until } from '../until.js';
import { WorkerWorld } from '../worker-world.js';

describe('calls that are sent ahead of their slot', () => {
  let world: WorkerWorld;
  let alive: Awaited<ReturnType<WorkerWorld['alive']>>;
  let container: ScriptedContainer;

  beforeEach(async () => {
    world = await WorkerWorld.start();
    alive = await world.alive('Basket', 'a');
    container = alive.container;
    // The first one shows that calls are quick here.
    const first = call('quick');
    (await container.call(1)).result('quick');
    await first.value();
  });
  afterEach(() => world[Symbol.asyncDispose]());

  const call = (...args: unknown[]) => alive.client.call('work', args);
  /** One that runs, and as many as wait in the container. */
  const busy = async (waiting: number) => {
    const calls = Array.from({ length: waiting + 1 }, (_, i) => call(i));
    await until(() => container.queued(1) === Math.min(waiting, 32));
    return { calls, run: await container.call(2) };
  };

  it('C1: wait in the container, 32 at most, still count as waiting, and begin in their order', async () => {
    const { calls, run } = await busy(40);
    await turns(5);
    expect(container.queued(1)).toBe(32);
    expect(await world.describe(alive.pin)).toEqual({ running: 1, pending: 40 });
    let last = run;
    for (let i = 1; i <= 40; i += 1) {
      last.result(i - 1);
      last = await container.call(i + 2);
      expect(last.args).toEqual([i]);
      expect(container.calls.filter((begun) => !begun.hasStopped)).toHaveLength(1);
    }
    last.result(40);
    expect(await calls[40]?.value()).toBe(40);
    await world.runs(alive.pin, 0);
  });

  it('C5: never run where they are cancelled before they begin, and those behind them do', async () => {
    const { calls, run } = await busy(2);
    const [, cancelled, next] = calls;
    if (cancelled === undefined) throw new Error('there are three');
    alive.client.cancel(cancelled);
    expect(await cancelled.error()).toMatchObject({ code: 'Cancelled', outcome: 'not-run' });
    expect(await world.describe(alive.pin)).toEqual({ running: 1, pending: 1 });
    run.result('first');
    (await container.call(3)).result('third');
    expect(await next?.value()).toBe('third');
  });

  it('C5: are told that they ran where the cancel comes too late', async () => {
    const { calls, run } = await busy(1);
    const [, late] = calls;
    if (late === undefined) throw new Error('there are two');
    // Begun in the container, which the worker has not heard of yet.
    container.onCancel = () => undefined;
    run.result('first');
    alive.client.cancel(late);
    const second = await container.call(3);
    expect(await late.error()).toMatchObject({ code: 'Cancelled', outcome: 'ran' });
    await until(() => second.cancelled === CancelReason.caller);
    second.result('nobody wants it');
    await world.runs(alive.pin, 0);
  });

  it('C10: come back and are moved when the instance leaves, and what runs goes on', async () => {
    const { calls, run } = await busy(3);
    const drained = world.worker.drain();
    for (const waiting of calls.slice(1)) await waiting.moved();
    expect(container.calls).toHaveLength(2);
    run.result('done');
    expect(await calls[0]?.value()).toBe('done');
    expect(await drained).toBe(1);
    expect(await world.stateOf(alive.pin)).toBe('idle');
  });

  it('stay at the worker where their arguments are large, and so do all behind them', async () => {
    const first = call(0);
    const run = await container.call(2);
    call('x'.repeat(5_000));
    call(2);
    await world.waits(alive.pin, 2);
    expect(container.queued(1)).toBe(0);
    run.result('done');
    expect(await first.value()).toBe('done');
    const second = await container.call(3);
    await until(() => container.queued(1) === 1);
    second.result('large');
    expect((await container.call(4)).args).toEqual([2]);
  });

  it('stay at the worker while the call that runs may be stuck, and where calls are slow', async () => {
    const stuck = call('stuck');
    const run = await container.call(2);
    world.clock.advance(50);
    call('waits');
    await world.waits(alive.pin, 1);
    expect(container.queued(1)).toBe(0);
    run.result('slow after all');
    expect(await stuck.value()).toBe('slow after all');
    await container.call(3);
    call('waits, too');
    await world.waits(alive.pin, 1);
    expect(container.queued(1)).toBe(0);
  });

  it('cost a container its life that begins to answer one of them before it has a slot', async () => {
    const { calls, run } = await busy(1);
    container.send(FrameKind.Result, { ref: run.ref + 1, body: Buffer.concat([u32(100_000), Buffer.alloc(10)]) });
    expect((await calls[1]?.error())?.code).toBe('OutcomeUnknown');
    expect((await calls[0]?.error())?.code).toBe('OutcomeUnknown');
    await until(() => container.hasExited);
  });

  it.each(['Detach', 'Detached'] as const)('cost a container its life that says %s of one of them', async (kind) => {
    const { calls, run } = await busy(1);
    container.send(FrameKind[kind], { ref: run.ref + 1 });
    expect((await calls[1]?.error())?.code).toBe('OutcomeUnknown');
    await until(() => container.hasExited);
  });

  it('cost a container its life that gives back what nobody asked for', async () => {
    const { calls, run } = await busy(1);
    container.send(FrameKind.Moved, { ref: run.ref });
    expect((await calls[0]?.error())?.code).toBe('OutcomeUnknown');
    expect((await calls[1]?.error())?.code).toBe('OutcomeUnknown');
    await until(() => container.hasExited);
  });
});
