import { afterEach, describe, expect, test, vi } from 'vitest';
import { systemRandom } from '../../src/adapters/system/clock.js';
import { registeredClass } from '../../src/sdk/classes/registry.js';
import { Cls, isHoldfastError } from '../../src/sdk/index.js';
import { consoleLogger } from '../../src/sdk/local/console-logger.js';
import { localInstance } from '../../src/sdk/local/local-instance.js';
import { ManualClock } from '../manual-clock.js';
import { Broken, Flaky, gate, gates, Hiding, instances, seen, Worker } from './local-app.js';

afterEach(() => {
  for (const each of gates.values()) each.open();
  gates.clear();
  seen.length = 0;
});

const turn = () => new Promise((resolve) => setImmediate(resolve));

async function code(work: Promise<unknown>): Promise<string> {
  return await work.then(
    () => 'none',
    (e: unknown) => (isHoldfastError(e) ? `${e.code} ${e.outcome}` : String(e)),
  );
}

describe('a local instance', () => {
  test('runs hooks once and answers calls in both forms', async () => {
    const instance = await Cls.of(Worker).local('x:');
    gate('a').open();
    expect(await instance.hold('a')).toBe('x:a');
    expect(await instance.hold.remote('a')).toBe('x:a');
    expect(await instance.context()).toEqual({
      appName: 'local',
      className: 'Worker',
      attempt: 1,
      epoch: 1,
      restarted: false,
      hasCallId: true,
    });
    expect(await instance.close()).toEqual({ closed: true, alreadyClosed: false, exitHook: 'ran' });
    expect(await instance.close()).toMatchObject({ closed: true, alreadyClosed: true });
    expect(seen).toEqual(['enter true', 'run a', 'run a', 'exit close']);
    expect(await code(instance.echo(1))).toBe('InstanceGone not-run');
  });

  test('never runs more than concurrentRequests, holds exactly maxPendingTasks, refuses the next at once', async () => {
    await using instance = await Cls.of(Worker).local();
    const names = ['1', '2', '3', '4'];
    const calls = names.map((name) => instance.hold(name));
    expect(await code(instance.hold('5'))).toBe('PendingLimitExceeded not-run');
    expect(await instance.inspect()).toMatchObject({ running: 1, pending: 3, state: 'active' });
    for (const name of names) gate(name).open();
    expect(await Promise.all(calls)).toEqual(['p:1', 'p:2', 'p:3', 'p:4']);
    expect(seen.filter((line) => line.startsWith('run'))).toEqual(['run 1', 'run 2', 'run 3', 'run 4']);
    expect(await instance.most()).toBe(1);
  });

  test('lets a reader pass calls that hold every slot', async () => {
    await using instance = await Cls.of(Worker).local();
    const held = instance.hold('slow');
    expect(await instance.most()).toBe(1);
    gate('slow').open();
    await held;
  });

  test('passes arguments and results through the codec, as copies', async () => {
    await using instance = await Cls.of(Worker).local();
    const value = { at: new Date(5), map: new Map([[1, 'x']]), bytes: new Uint8Array([1]), none: undefined };
    const back = await instance.echo(value);
    expect(back).toEqual(value);
    expect(back).not.toBe(value);
    expect(await code(instance.echo(() => 1))).toBe('NotSerializable not-run');
    expect(await code(instance.unsendable())).toBe('NotSerializable ran');
  });

  test('carries what the code threw as cause', async () => {
    await using instance = await Cls.of(Worker).local();
    const error = await instance.fail().catch((e: unknown) => e);
    expect(isHoldfastError(error, 'UserError')).toBe(true);
    expect(error).toMatchObject({ outcome: 'ran', cause: { message: 'bad', code: 'E1', field: { a: 1 } } });
    expect((error as Error).cause).toBeInstanceOf(RangeError);
  });

  test('cancels a waiting call before it runs and aborts the signal of a running one', async () => {
    await using instance = await Cls.of(Worker).local();
    const running = new AbortController();
    const first = instance.untilAborted.with({ signal: running.signal })();
    const waiting = new AbortController();
    const second = instance.hold.with({ signal: waiting.signal })('second');
    waiting.abort();
    expect(await code(second)).toBe('Cancelled not-run');
    running.abort();
    expect(await code(first)).toBe('Cancelled ran');
    expect(await instance.echo('next')).toBe('next');
    expect(seen).toEqual(['enter true', 'waits', 'aborted']);
    expect(await code(instance.echo.with({ signal: AbortSignal.abort() })(1))).toBe('Cancelled not-run');
  });

  test('ends a call at its own deadline, whether it waits or runs', async () => {
    await using instance = await Cls.of(Worker).local();
    const running = instance.untilAborted.with({ timeoutMs: 20 })();
    const waiting = instance.hold.with({ timeoutMs: 5 })('x');
    expect(await code(waiting)).toBe('DeadlineExceeded not-run');
    expect(await code(running)).toBe('DeadlineExceeded ran');
  });

  test('streams a generator and stops it when the loop is left', async () => {
    await using instance = await Cls.of(Worker).local();
    const all: number[] = [];
    for await (const value of instance.count(4)) all.push(value);
    expect(all).toEqual([0, 1, 2, 3]);
    for await (const value of instance.count.remoteGen(1_000)) if (value === 2) break;
    expect(await instance.echo('free again')).toBe('free again');
    expect(seen.filter((line) => line === 'generator ended')).toHaveLength(2);
  });

  test('finds a circle of calls that could never end', async () => {
    const [a, b] = [await Cls.of(Worker).local(), await Cls.of(Worker).local()];
    instances.set('a', a).set('b', b);
    expect(await a.callBack('b')).toBe('again');
    const error = await a.callBack('a').catch((e: Error) => e);
    expect(error).toMatchObject({ code: 'Deadlock', outcome: 'ran' });
    await Promise.all([a.close(), b.close()]);
  });

  test('retries what the code threw as often as the class says, unless the error forbids it', async () => {
    const instance = await Cls.of(Flaky).local();
    expect(await instance.third()).toBe(3);
    const error = await instance.final().catch((e: Error) => e);
    expect(error).toMatchObject({ code: 'UserError', cause: { message: 'try 4' } });
    await instance.close();
  });

  test('runs calls with one idempotency key once', async () => {
    await using instance = await Cls.of(Worker).local();
    const keyed = instance.hold.with({ idempotencyKey: 'k' });
    gate('once').open();
    expect(await Promise.all([keyed('once'), keyed('once')])).toEqual(['p:once', 'p:once']);
    expect(await keyed('another')).toBe('p:once');
    expect(seen.filter((line) => line.startsWith('run'))).toEqual(['run once']);
  });

  test('closes after what runs, refuses what waits, and by force waits for nothing', async () => {
    const instance = await Cls.of(Worker).local();
    const running = instance.hold('last');
    const waiting = instance.hold('never');
    const closing = instance.close();
    expect(await code(waiting)).toBe('InstanceClosed not-run');
    expect(await code(instance.echo(1))).toBe('InstanceClosed not-run');
    gate('last').open();
    expect(await running).toBe('p:last');
    expect(await closing).toMatchObject({ closed: true, exitHook: 'ran' });

    const forced = await Cls.of(Worker).local();
    const stuck = forced.untilAborted();
    const ended = forced.close({ force: true });
    expect(await code(stuck)).toBe('InstanceClosed ran');
    expect(await ended).toMatchObject({ closed: true });
    expect(forced.closed).toBe(true);
  });

  test('fails to start with what its hook threw, after three attempts', async () => {
    const error = await Cls.of(Broken)
      .local()
      .catch((e: Error) => e);
    expect(error).toMatchObject({ code: 'ActivationFailed', cause: { message: 'no model' } });
  });

  test('has a handle that nobody can attach', async () => {
    await using instance = await Cls.of(Worker).local();
    expect(instance.handle).toMatchObject({ kind: 'class', app: 'local', name: 'Worker', id: instance.id });
    expect(JSON.parse(instance.handleJson)).toEqual(instance.handle);
    expect(await code(Cls.of(Worker).attach(instance.handleJson))).toBe('InvalidArgument not-run');
  });

  test('D2: keeps what it is told in its storage, through the codec, by itself and until it is closed', async () => {
    await using instance = await Cls.of(Worker).local();
    await using other = await Cls.of(Worker).local();
    const list = [1];
    expect(await instance.keep('a', { list })).toEqual([{ list }, ['a']]);
    expect(await instance.keep('b', 2)).toEqual([2, ['b', 'a']]);
    expect(await other.keep('c', 3)).toEqual([3, ['c']]);
  });

  test('A2: rings when its time has come, and again until that succeeds', async () => {
    const clock = new ManualClock();
    const registered = registeredClass(Worker);
    if (registered === null) throw new Error('the class is registered');
    const parts = { clock, random: systemRandom, log: consoleLogger };
    await using instance = await localInstance<typeof Worker>(Cls.of(Worker), registered, { args: [], parts });
    const at = clock.now() + 5_000;
    expect(await instance.arm(new Date(at))).toEqual(new Date(at));
    const rings = () => seen.filter((line) => line.startsWith('ring'));
    clock.advance(4_999);
    expect(rings()).toEqual([]);
    clock.advance(1);
    while (rings().length < 1) await turn();
    for (let i = 0; i < 20; i += 1) await turn();
    clock.advance(2_000);
    while (rings().length < 2) await turn();
    expect(rings()).toEqual([`ring ${at} 1 true`, `ring ${at} 2 true`]);
    for (let i = 0; i < 20; i += 1) await turn();
    clock.advance(3_600_000);
    expect(rings()).toHaveLength(2);
  });

  test('refuses more arguments than its constructor takes', async () => {
    const local = Cls.of(Worker).local as (...args: unknown[]) => Promise<unknown>;
    expect(await code(local.call(Cls.of(Worker), 'a', 'b'))).toBe('InvalidArgument not-run');
    expect(await code(local.call(Cls.of(Worker), 'a', undefined))).toBe('none');
  });
});

describe('an instance as an object', () => {
  test('says which methods there are when another is called', async () => {
    await using instance = await Cls.of(Worker).local();
    const loose = instance as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>;
    const error = await loose['hodl']?.('x').catch((e: Error) => e);
    expect(error).toMatchObject({ code: 'InvalidArgument' });
    expect((error as Error).message).toMatch(/has no method 'hodl'.*it has: hold, most, echo/);
    expect(await code(instance.method('open')())).toBe('InvalidArgument not-run');
    expect(await instance.method('echo')(7)).toBe(7);
  });

  test('logs whatever it is given', () => {
    const lines: string[] = [];
    const written = vi.spyOn(process.stderr, 'write').mockImplementation((line) => lines.push(String(line)) > 0);
    const endless: Record<string, unknown> = { name: 'endless' };
    endless['self'] = endless;
    try {
      consoleLogger.error('broke', { error: new RangeError('why'), big: 2n ** 70n });
      consoleLogger.info('turns', endless);
    } finally {
      written.mockRestore();
    }
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      ...{ level: 'error', message: 'broke', big: '1180591620717411303424' },
      error: { name: 'RangeError', message: 'why' },
    });
    expect(JSON.parse(lines[1] ?? '')).toMatchObject({ level: 'info', message: 'turns' });
  });

  test('says so when its class has put a value in the place of a method', async () => {
    await using instance = await Cls.of(Hiding).local();
    await instance.hide();
    await expect(instance.shown()).rejects.toThrow(/Hiding\/.*\.shown is no function any more.*type number/);
  });

  test('is no thenable, and looks like no object of a library', async () => {
    await using instance = await Cls.of(Worker).local();
    const loose = instance as unknown as Record<string, unknown>;
    for (const name of ['then', 'toJSON', 'asymmetricMatch', '$$typeof', '_private', '@@x']) {
      expect(loose[name]).toBe(undefined);
    }
    expect(Object.is(await instance, instance)).toBe(true);
    expect(String(instance)).toBe('[object Object]');
    expect(loose['constructor']).not.toBe(undefined);
  });
});
