import { afterEach, describe, expect, test } from 'vitest';
import { Cls, FunctionCall, isHoldfastError } from '../../src/sdk/index.js';
import { Flaky, gate, gates, seen, Worker } from './local-app.js';

afterEach(() => {
  for (const each of gates.values()) each.open();
  gates.clear();
  seen.length = 0;
});

async function code(work: Promise<unknown>): Promise<string> {
  return await work.then(
    () => 'none',
    (e: unknown) => (isHoldfastError(e) ? `${e.code} ${e.outcome}` : String(e)),
  );
}

describe('a spawned call of a local instance', () => {
  test('R1: goes on by itself, and is found by its id in this process', async () => {
    await using instance = await Cls.of(Worker).local();
    const call = await instance.hold.spawn('a');
    expect(await call.status()).toBe('running');
    const found = await FunctionCall.fromId<string>(call.id);
    expect(await code(found.get({ timeoutMs: 1 }))).toBe('DeadlineExceeded unknown');
    expect(await code(found.get({ signal: AbortSignal.abort() }))).toBe('Cancelled unknown');
    gate('a').open();
    expect(await found.get()).toBe('p:a');
    expect([await call.status(), await call.cancel()]).toEqual(['succeeded', 'already-finished']);
    expect(await call.explain()).toMatchObject({ status: 'succeeded', method: 'hold', attempt: 1, waitsFor: null });
  });

  test('C1, R6: waits in its place, is refused for want of one, and is cancelled where it is', async () => {
    await using instance = await Cls.of(Worker).local();
    const calls = await Promise.all(['1', '2', '3', '4'].map((name) => instance.hold.spawn(name)));
    expect(await code(instance.hold.spawn('5'))).toBe('PendingLimitExceeded not-run');
    expect(await Promise.all(calls.map((call) => call.status()))).toEqual(['running', 'queued', 'queued', 'queued']);
    expect(await calls[1]?.cancel()).toBe('never-ran');
    expect(await calls[0]?.cancel()).toBe('aborted');
    expect(await code(calls[1]?.get() ?? Promise.resolve())).toBe('Cancelled not-run');
    for (const name of ['1', '3', '4']) gate(name).open();
    expect(await Promise.all(calls.slice(2).map((call) => call.get()))).toEqual(['p:3', 'p:4']);
    expect(await Promise.all(calls.map((call) => call.status()))).toEqual([
      ...['cancelled', 'cancelled'],
      ...['succeeded', 'succeeded'],
    ]);
    expect(seen.filter((line) => line.startsWith('run'))).toEqual(['run 1', 'run 3', 'run 4']);
  });

  test('C6: is retried as its class says, and R1: one key is one call', async () => {
    await using flaky = await Cls.of(Flaky).local();
    await using instance = await Cls.of(Worker).local();
    expect(await (await flaky.third.spawn()).get()).toBe(3);
    expect(await code((await flaky.final.spawn()).get())).toBe('UserError ran');
    gate('k').open();
    const keyed = instance.hold.with({ idempotencyKey: 'k' });
    const [first, second] = [await keyed.spawn('k'), await keyed.spawn('k')];
    expect(second.id).toBe(first.id);
    expect(await second.get()).toBe('p:k');
    expect(await code(keyed.with({ signal: AbortSignal.abort() }).spawn('k'))).toBe('Cancelled not-run');
    expect(seen.filter((line) => line.startsWith('run'))).toEqual(['run k']);
  });

  test('R1: one key is one call for those who ask at the same time, and one that was refused can be asked for again', async () => {
    await using instance = await Cls.of(Worker).local();
    gate('k').open();
    const keyed = instance.hold.with({ idempotencyKey: 'k' });
    const both = await Promise.all([keyed.spawn('k'), keyed.spawn('k')]);
    expect(both[1]?.id).toBe(both[0]?.id);
    expect(await Promise.all(both.map((call) => call.get()))).toEqual(['p:k', 'p:k']);
    expect(seen.filter((line) => line.startsWith('run'))).toEqual(['run k']);
    const others = await Promise.all(['1', '2', '3', '4'].map((name) => instance.hold.spawn(name)));
    const late = instance.hold.with({ idempotencyKey: 'late' });
    const refused = await Promise.all([late.spawn('late'), late.spawn('late')].map(code));
    expect(refused).toEqual(Array(2).fill('PendingLimitExceeded not-run'));
    for (const name of ['1', '2', '3', '4', 'late']) gate(name).open();
    await Promise.all(others.map((call) => call.get()));
    expect(await (await late.spawn('late')).get()).toBe('p:late');
  });

  test('R5: what is too large, or cannot travel, is refused', async () => {
    await using instance = await Cls.of(Worker).local();
    expect(await code(instance.hold.spawn('x'.repeat(1_100_000)))).toBe('PayloadTooLarge not-run');
    expect(await code(instance.echo.spawn(() => 1))).toBe('NotSerializable not-run');
  });
});
