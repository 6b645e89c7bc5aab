import { afterEach, describe, expect, it } from 'vitest';
import { encodeBody } from '../../src/wire/frames/frame-bodies.js';
import { FrameKind } from '../../src/wire/frames/frames.js';
import { LogLine } from '../../src/wire/gen/holdfast/v1/router.js';
import { allLogsSubject } from '../../src/wire/subjects.js';
import { turns, until } from './until.js';
import { WorkerWorld } from './worker-world.js';

let world: WorkerWorld;
afterEach(() => world[Symbol.asyncDispose]());

function heard(): LogLine[] {
  const lines: LogLine[] = [];
  world.bus.subscribe(allLogsSubject('default'), ({ payload }) => void lines.push(LogLine.decode(payload)));
  return lines;
}

async function tail(count = 1_000): Promise<LogLine[]> {
  const request = { app: '', className: '', id: '', follow: false, tail: count };
  const reply = await world.ask({ $case: 'tailLogs', value: { request } });
  return reply.$case === 'tailLogs' ? reply.value.lines : [];
}

describe('what containers say', () => {
  it('is published and kept with where it came from', async () => {
    world = await WorkerWorld.start();
    const lines = heard();
    const { container } = await world.alive('Basket', 'a');
    container.print('plain');
    container.send(FrameKind.Log, {
      slot: 1,
      body: encodeBody({ level: 'warn', message: 'said', fields: { n: 1, deep: [{}] }, callId: 'c1.1' }),
    });
    await until(() => lines.length === 2);
    expect(lines).toMatchObject([
      { app: 'demo', className: 'Basket', id: 'a', level: 'info', message: 'plain', source: 'stdout' },
      { id: 'a', level: 'warn', message: 'said', callId: 'c1.1' },
    ]);
    expect((await tail()).map((line) => line.message)).toEqual(['plain', 'said']);
  });

  it('is no crash of the worker when it is said before there is an app, or in an app with a name for no subject', async () => {
    world = await WorkerWorld.start({ config: { warmContainers: 1 } });
    await until(() => world.starter.started.length === 1);
    await turns(3);
    const [warm] = world.starter.started;
    warm?.print('(node:7) Warning: something is deprecated');
    warm?.send(FrameKind.Log, { body: encodeBody({ level: 'info', message: 'early' }) });
    await turns(3);
    expect(warm?.hasExited).toBe(false);
    expect((await tail()).map((line) => line.message)).toEqual(['(node:7) Warning: something is deprecated', 'early']);
  });

  it('costs bounded memory and bus traffic however much it is, and what was dropped is told', async () => {
    world = await WorkerWorld.start();
    const lines = heard();
    const a = await world.alive('Basket', 'a');
    const b = await world.alive('Basket', 'b');
    const megabyte = 'x'.repeat(8_000);
    for (let n = 0; n < 10_000; n += 1) a.container.print(megabyte);
    await turns(3);
    const bytes = lines.reduce((sum, line) => sum + line.message.length, 0);
    expect(bytes).toBeGreaterThan(3_000_000);
    expect(bytes).toBeLessThan(4_300_000);
    b.container.print('still heard');
    await until(() => lines.at(-1)?.message === 'still heard');
    world.clock.advance(1_000);
    a.container.print('and on');
    await until(() => lines.at(-1)?.message === 'and on');
    expect(lines.at(-2)).toMatchObject({ level: 'warn', id: 'a' });
    expect(lines.at(-2)?.message).toMatch(/^9\d{3} log lines were dropped/);
  });

  it('keeps no field longer than an honest line has it', async () => {
    world = await WorkerWorld.start();
    const { container } = await world.alive('Basket', 'a');
    const long = 'x'.repeat(200_000);
    const body = { level: long, message: long, fields: { long }, callId: long, source: long };
    container.send(FrameKind.Log, { slot: 1, body: encodeBody(body) });
    let lines = await tail();
    while (lines.length === 0) lines = await tail();
    expect(LogLine.encode(lines[0] as LogLine).finish().length).toBeLessThan(20_000);
    expect(container.hasExited).toBe(false);
  });
});

describe('what a worker says', () => {
  it('of a container that died is for who runs it and for who wrote the class, with how it ended and what it had', async () => {
    world = await WorkerWorld.start();
    const lines = heard();
    const { container, pin } = await world.alive('Basket', 'a');
    container.die({ exitCode: null, signal: 'SIGKILL', outOfMemory: true });
    await until(() => lines.length === 1);
    const how = 'used more than its memoryMb and was killed';
    const message = `the container of this instance ${how}`;
    expect(lines).toMatchObject([{ className: 'Basket', id: 'a', level: 'error', message, source: 'worker' }]);
    const instances = [{ id: 'a', epoch: pin.epoch }];
    expect(world.told).toMatchObject([
      { event: 'container.died', fields: { class: 'demo/Basket', how, calls: 0, instances, more: 0 } },
    ]);
  });

  it('of an activation that failed is which one and its code, and nothing that the code of the class has said', async () => {
    world = await WorkerWorld.start();
    world.starter.prepare = (container) => {
      container.onActivate = () => container.die();
    };
    const { pin } = await world.instance('Basket', 'a');
    await until(() => world.told.length === 2);
    const fields = { instance: 'demo/Basket/a', epoch: pin.epoch, code: 'ActivationFailed' };
    expect(world.told[1]).toEqual({ event: 'activation.failed', fields });
  });

  it('of a container that was to end is nothing', async () => {
    world = await WorkerWorld.start();
    const { container, pin } = await world.alive('Basket', 'a');
    await world.close(pin);
    await until(() => container.hasExited);
    await turns(3);
    expect(world.told).toEqual([]);
  });
});
