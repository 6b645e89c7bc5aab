import { afterEach, describe, expect, it } from 'vitest';
import { HoldfastError } from '../../../src/common/errors.js';
import { leaseTimes } from '../../../src/common/lease.js';
import { encodeArgs, encodeValue } from '../../../src/wire/codec/codec.js';
import { CancelReason, FrameKind, inlinePayloadBytes } from '../../../src/wire/frames/frames.js';
import { turns, until } from '../until.js';
import { WorkerWorld } from '../worker-world.js';

let world: WorkerWorld;
afterEach(() => world[Symbol.asyncDispose]());

/** In a world in which no lease ends for a day: minutes pass at once. */
async function alive(): ReturnType<WorkerWorld['alive']> {
  world = await WorkerWorld.start({ config: { leaseTimes: leaseTimes(86_400_000) } });
  return world.alive('Basket', 'a');
}

/** Between two turns of the worker's loops; a wheel that holds nothing has noticed it. */
async function timersNow(): Promise<number> {
  world.clock.advance(2_000);
  await turns(50);
  return world.clock.timers;
}

const keyed = { meta: { idempotencyKey: 'k' } };
const isLarge = (value: unknown): boolean => (value as typeof large).bytes.length === large.bytes.length;
const large = { bytes: new Uint8Array(200_000) };

describe('calls with an idempotency key', () => {
  it('C7: run once for all who ask with the key, of whatever client, and for those who ask later', async () => {
    const { pin, client, container } = await alive();
    const other = world.client();
    other.bind(1, world.bound(pin));
    const calls = [client.call('work', [1], keyed), client.call('work', [2], keyed), other.call('work', [3], keyed)];
    const run = await container.call(1);
    run.result('once');
    expect(await Promise.all(calls.map((call) => call.value()))).toEqual(['once', 'once', 'once']);
    expect(await other.call('work', [4], keyed).value()).toBe('once');
    client.call('work', [5], { meta: { idempotencyKey: 'another' } });
    expect((await container.call(2)).args).toEqual([5]);
  });

  it('C7: give an error again too, but not one that says that the call never ran', async () => {
    const { client, container } = await alive();
    const first = client.call('work', [], keyed);
    (await container.call(1)).fail(new HoldfastError('UserError', 'no', { outcome: 'ran' }));
    expect((await first.error()).code).toBe('UserError');
    expect((await client.call('work', [], keyed).error()).code).toBe('UserError');
    client.call('work');
    const waiting = client.call('work', [], { meta: { idempotencyKey: 'k2' } });
    await container.call(2);
    client.cancel(waiting);
    expect(await waiting.error()).toMatchObject({ code: 'Cancelled', outcome: 'not-run' });
    const again = client.call('work', [], { meta: { idempotencyKey: 'k2' } });
    container.calls[1]?.result('free');
    (await container.call(3)).result('ran');
    expect(await again.value()).toBe('ran');
  });

  it('C7: that were refused because too many wait are not known', async () => {
    world = await WorkerWorld.start();
    await world.deploy('Basket', { options: { maxPendingTasks: 0 } });
    const { client, container } = await world.alive('Basket', 'a');
    client.call('work');
    const run = await container.call(1);
    expect((await client.call('work', [], keyed).error()).code).toBe('PendingLimitExceeded');
    run.result('free');
    await until(() => client.answers.get(1)?.isDone === true);
    const again = client.call('work', [], keyed);
    (await container.call(2)).result('ran');
    expect(await again.value()).toBe('ran');
  });

  it('C7: keep an answer for ten minutes from the answer on, however long its call ran', async () => {
    const { client, container } = await alive();
    const first = client.call('work', [], keyed);
    const run = await container.call(1);
    world.clock.advance(595_000);
    run.result('slow');
    expect(await first.value()).toBe('slow');
    world.clock.advance(595_000);
    expect(await client.call('work', [], keyed).value()).toBe('slow');
    world.clock.advance(10_000);
    client.call('work', [], keyed);
    await container.call(2);
  });

  it('carry large arguments and large results', async () => {
    const { client, container } = await alive();
    const payload = encodeArgs([large]);
    const first = client.call('work', [], { ...keyed, payload });
    const joined = client.call('work', [], { ...keyed, payload });
    const run = await container.call(1);
    run.ask(payload.length - inlinePayloadBytes);
    await until(() => first.credit === payload.length - inlinePayloadBytes);
    expect(joined.credit).toBe(0);
    for (let at = inlinePayloadBytes; at < payload.length; at += 50_000)
      client.chunk(first, payload.subarray(at, at + 50_000));
    await until(() => run.payload.length === payload.length);
    const bytes = encodeValue(large, 'result');
    run.result(large);
    await until(() => run.credit >= bytes.length - inlinePayloadBytes);
    for (let at = inlinePayloadBytes; at < bytes.length; at += 50_000) run.chunk(bytes.subarray(at, at + 50_000));
    await until(() => first.bytes === inlinePayloadBytes && joined.bytes === inlinePayloadBytes);
    for (const call of [first, joined]) client.credit(call, bytes.length);
    expect(await first.value()).toSatisfy(isLarge);
    expect(await joined.value()).toSatisfy(isLarge);
  });

  it('C5: whose sender goes away with half of the arguments never run, and the others come again', async () => {
    const { pin, client, container } = await alive();
    const other = world.client();
    other.bind(1, world.bound(pin));
    const payload = encodeArgs([large]);
    client.call('work', [], { ...keyed, payload });
    const run = await container.call(1);
    container.onCancel = (call) => call.fail(new HoldfastError('Cancelled', 'given up'));
    const joined = other.call('work', [], { ...keyed, payload });
    await turns(5);
    client.close();
    await joined.moved();
    await until(() => run.cancelled === CancelReason.caller);
    await world.runs(pin, 0);
    other.call('work', [], { ...keyed, payload });
    await container.call(2);
  });

  it('C5: that wait never run when all who asked have gone; those that run go on for who asks again', async () => {
    const { pin, client, container } = await alive();
    const running = client.call('work', [1], keyed);
    const run = await container.call(1);
    const waiting = client.call('work', [2], { meta: { idempotencyKey: 'k2' } });
    await world.waits(pin, 1);
    client.cancel(running);
    client.cancel(waiting, CancelReason.deadline);
    expect(await running.error()).toMatchObject({ code: 'Cancelled', outcome: 'unknown' });
    expect(await waiting.error()).toMatchObject({ code: 'DeadlineExceeded', outcome: 'not-run' });
    expect(await world.describe(pin)).toEqual({ running: 1, pending: 0 });
    expect(run.cancelled).toBe(null);
    const again = client.call('work', [1], keyed);
    run.result('for the second');
    expect(await again.value()).toBe('for the second');
    expect(container.calls).toHaveLength(1);
  });

  it("C4: end each caller's wait at its own deadline, and leave no timer behind where the answer comes first", async () => {
    const { client, container } = await alive();
    const timers = await timersNow();
    const short = client.call('work', [], { ...keyed, remainingMs: 2_000 });
    const long = client.call('work', [], { ...keyed, remainingMs: 3_600_000 });
    const run = await container.call(1);
    world.clock.advance(3_000);
    expect(await short.error()).toMatchObject({ code: 'DeadlineExceeded', outcome: 'unknown' });
    run.result('in time');
    expect(await long.value()).toBe('in time');
    // What is left on the wheel is the check of the class's limit, which instances share.
    world.clock.advance(600_000);
    expect(await timersNow()).toBe(timers);
  });

  it('are moved, and forgotten, with the instance that they wait for', async () => {
    const { pin, client, container } = await alive();
    client.call('work');
    const run = await container.call(1);
    const waiting = client.call('work', [], keyed);
    await world.waits(pin, 1);
    const draining = world.worker.drain();
    await waiting.moved();
    run.result('done');
    expect(await draining).toBe(1);
  });

  it('refuse a result that is larger than a worker keeps, and go on', async () => {
    const { pin, client, container } = await alive();
    const call = client.call('work', [], keyed);
    const run = await container.call(1);
    container.onCancel = (made) => made.fail(new HoldfastError('Cancelled', 'given up'));
    run.part(300_000_000, new Uint8Array(10));
    expect(await call.error()).toMatchObject({ code: 'PayloadTooLarge', outcome: 'ran' });
    await until(() => run.cancelled !== null);
    await world.runs(pin, 0);
    expect(call.kinds).toEqual([FrameKind.Error]);
  });
});
