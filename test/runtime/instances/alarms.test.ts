import { afterEach, describe, expect, it } from 'vitest';
import { HoldfastError } from '../../../src/common/errors.js';
import { instanceKey } from '../../../src/common/ids.js';
import type { Pin } from '../../../src/common/pin.js';
import { FrameKind } from '../../../src/wire/frames/frames.js';
import { encodeStateRequest } from '../../../src/wire/frames/state-bodies.js';
import type { RunCall, ScriptedContainer } from '../scripted-container.js';
import { turns, until } from '../until.js';
import { WorkerWorld } from '../worker-world.js';

let world: WorkerWorld;
afterEach(() => world[Symbol.asyncDispose]());

const atMs = 500;

/** An instance with an alarm, set by its own code. */
async function armed() {
  world = await WorkerWorld.start();
  await world.deploy('Clock', { alarm: 'onAlarm' });
  const made = await world.alive('Clock', 'a');
  await set(made.container, 1, atMs);
  return { ...made, alarm: async () => world.store.alarms.get(instanceKey(made.pin.identity)) };
}

async function set(container: ScriptedContainer, sequence: number, alarm: number): Promise<void> {
  const body = encodeStateRequest({ op: 'commit', commit: { sequence, changes: [], alarm } });
  container.send(FrameKind.State, { ref: sequence, slot: 1, body });
  await until(() => container.frames.some(({ kind, ref }) => kind === FrameKind.StateReply && ref === sequence));
}

async function ring(pin: Pin, id = `${pin.epoch}.1`): Promise<void> {
  await world.ask({ $case: 'ring', value: { key: instanceKey(pin.identity), epoch: pin.epoch, id } });
}

/** It has rung, and the store knows how it ended. */
async function rung(pin: Pin, container: ScriptedContainer, end: (run: RunCall) => void): Promise<void> {
  const before = container.calls.length;
  // Until then the end of the one before may still be on its way to the store.
  while (container.calls.length === before) await ring(pin);
  end(await container.call(before + 1));
}

describe('alarms at the worker', () => {
  it('A1: is expected before it stands', async () => {
    const { pin, alarm } = await armed();
    expect(await alarm()).toEqual({ id: `${pin.epoch}.1`, atMs, dueMs: atMs, failures: 0 });
    const { claims } = await world.store.alarms.claim('default', { limit: 8, forMs: 30_000 });
    expect(claims).toMatchObject([{ key: instanceKey(pin.identity) }]);
  });

  it('A2: calls the method that clients cannot, and it is over when that has returned', async () => {
    const { pin, client, container, alarm } = await armed();
    expect((await client.call('onAlarm').error()).code).toBe('InvalidArgument');
    await ring(pin);
    const run = await container.call(1);
    expect(run.method).toBe('onAlarm');
    expect(run.args).toEqual([{ scheduledAt: new Date(atMs), attempt: 1 }]);
    expect(await alarm()).not.toBeNull();
    run.result('nobody wants it');
    while ((await alarm()) !== null) await turns(1);
  });

  it('A2: one that fails is due again, later each time, and says which attempt it is', async () => {
    const { pin, container, alarm } = await armed();
    const waits: number[] = [];
    for (const failures of [1, 2, 3]) {
      await rung(pin, container, (run) => run.fail(new HoldfastError('UserError', 'not now', { outcome: 'ran' })));
      while ((await alarm())?.failures !== failures) await turns(1);
      waits.push(((await alarm())?.dueMs ?? 0) - world.clock.now());
      expect(container.calls.at(-1)?.args).toMatchObject([{ attempt: failures }]);
    }
    expect(waits).toEqual([2_000, 4_000, 8_000]);
    expect((await alarm())?.atMs).toBe(atMs);
    const request = { app: '', className: '', id: '', follow: false, tail: 10 };
    const reply = await world.ask({ $case: 'tailLogs', value: { request } });
    const lines = reply.$case === 'tailLogs' ? reply.value.lines : [];
    expect(lines.map(({ id, level, message }) => [id, level, message])).toEqual(
      [1, 2, 3].map((attempt) => ['a', 'error', `the alarm failed at attempt ${attempt}: UserError: not now`]),
    );
  });

  it('A2: rings once at a time, however often routers ask', async () => {
    const { pin, container } = await armed();
    await ring(pin);
    await container.call(1);
    await ring(pin);
    await turns(20);
    expect(container.calls).toHaveLength(1);
  });

  it('A2: one that was set while it rang stands', async () => {
    const { pin, container, alarm } = await armed();
    await ring(pin);
    const run = await container.call(1);
    await set(container, 2, 9_000);
    run.result('done');
    await world.runs(pin, 0);
    await turns(20);
    expect(await alarm()).toMatchObject({ atMs: 9_000, failures: 0 });
  });

  it('A2: does not ring where another one, or none, stands', async () => {
    const { pin, container } = await armed();
    await ring(pin, `${pin.epoch}.7`);
    await set(container, 2, 9_000);
    await ring(pin);
    await turns(20);
    expect(container.calls).toEqual([]);
  });

  it('A3: waits for its turn as any call, and is rung again where it was refused before it began', async () => {
    const { pin, client, container, alarm } = await armed();
    client.call('work');
    await container.call(1);
    await ring(pin);
    await world.waits(pin, 1);
    const drained = world.worker.drain();
    container.calls[0]?.result('done');
    await drained;
    expect(container.calls).toHaveLength(1);
    expect(await alarm()).toMatchObject({ failures: 0 });
  });

  it('A2: one whose container dies under it stands', async () => {
    const { pin, container, alarm } = await armed();
    await ring(pin);
    await container.call(1);
    container.die();
    await world.stateBecomes(pin, 'idle');
    await turns(20);
    expect(await alarm()).toMatchObject({ id: `${pin.epoch}.1` });
  });

  it('S7: a boot that is over rings nothing, and ends nothing', async () => {
    const { pin, container, alarm } = await armed();
    await ring(pin);
    const run = await container.call(1);
    world.clock.jump(11_000);
    run.result('too late');
    await until(() => container.hasExited);
    await turns(20);
    expect(await alarm()).not.toBeNull();
  });

  it('is never kept from its end by what its method returns', async () => {
    const { pin, container, alarm } = await armed();
    await ring(pin);
    const run = await container.call(1);
    run.part(200_000, Buffer.alloc(60_000));
    await until(() => run.credit === 140_000);
    for (let sent = 60_000; sent < 200_000; sent += 35_000) run.chunk(Buffer.alloc(35_000));
    while ((await alarm()) !== null) await turns(1);
    await world.runs(pin, 0);
  });

  it('of an epoch that is not here is nobody’s', async () => {
    const { pin, container } = await armed();
    await ring({ ...pin, epoch: pin.epoch - 1 });
    await turns(10);
    expect(container.calls).toEqual([]);
  });
});
