import { describe, expect, test } from 'vitest';
import { encodeValue } from '../../src/wire/codec/codec.js';
import { encodeUserError } from '../../src/wire/errors.js';
import { CancelReason, initialYieldCreditBytes, yieldOverheadBytes } from '../../src/wire/frames/frames.js';
import { model, outcome, turn, worker } from './scripted-model.js';

describe('a generator', () => {
  test('starts when it is read, and its values come in order', async () => {
    const instance = await model();
    worker.onCall = (call) => {
      for (const value of call.args) for (let i = 0; i < Number(value); i += 1) call.yields({ i });
      call.end();
    };
    const values = instance.tokens(3);
    await turn();
    expect(worker.calls).toHaveLength(0);
    const seen: unknown[] = [];
    for await (const value of values) seen.push(value);
    expect(seen).toEqual([{ i: 0 }, { i: 1 }, { i: 2 }]);
    expect(worker.calls[0]?.isGenerator).toBe(true);
  });

  test('that is left tells the worker that nobody reads', async () => {
    const instance = await model();
    const abandoned = new Promise<CancelReason | null>((resolve) => {
      worker.onCall = (call) => {
        call.onCancel = () => resolve(call.cancelled);
        for (let i = 0; i < 10; i += 1) call.yields(i);
      };
    });
    for await (const value of instance.tokens(10)) if (value === 3) break;
    expect(await abandoned).toBe(CancelReason.abandoned);
  });

  test('gives credit back as its values are taken, all of it in the end', async () => {
    const instance = await model();
    const value = 'v'.repeat(30_000);
    let sent = 0;
    let spent = 0;
    worker.onCall = (call) => {
      const pump = (): void => {
        while (sent < 40 && spent - call.credit < initialYieldCreditBytes) {
          call.yields(value);
          spent += 30_000 + 3 + 1 + 64;
          sent += 1;
        }
        if (sent === 40) call.end();
        else call.onCredit = pump;
      };
      pump();
    };
    let read = 0;
    for await (const each of instance.tokens(40)) {
      expect(each).toBe(value);
      read += 1;
    }
    expect(read).toBe(40);
  });

  test('may yield values larger than all its credit', async () => {
    const instance = await model();
    const large = new Uint8Array(1_000_000).fill(7);
    worker.onCall = (call) => {
      call.credit = initialYieldCreditBytes;
      call.yields(large);
      const sendRest = call.onCredit;
      call.onCredit = () => {
        sendRest();
        if (call.credit > 0) call.end();
      };
    };
    const sizes: number[] = [];
    for await (const each of instance.tokens(1)) {
      sizes.push((each as Uint8Array).length);
      break;
    }
    expect(sizes).toEqual([1_000_000]);
  });

  test('never gets more credit than its values have cost', async () => {
    const instance = await model();
    const sizes = [1_000_000, 10, 400_000, 90_000, 10, 700_000, 10];
    const bodies = sizes.map((size) => Buffer.alloc(size, 7));
    worker.onCall = (call) => {
      let next = 0;
      const sendNext = (): void => {
        const body = bodies[next];
        next += 1;
        if (body === undefined) return call.end();
        call.credit = initialYieldCreditBytes;
        call.yields(body);
        const sendRest = call.onCredit;
        call.onCredit = () => {
          sendRest();
          if (call.isSent) sendNext();
        };
        if (call.isSent) sendNext();
      };
      sendNext();
    };
    const read: number[] = [];
    for await (const each of instance.tokens(1)) read.push((each as Uint8Array).length);
    expect(read).toEqual(sizes);
    const cost = bodies.reduce((sum, body) => sum + encodeValue(body).length + yieldOverheadBytes, 0);
    const given = worker.calls[0]?.creditGiven ?? 0;
    expect(given).toBeLessThanOrEqual(cost);
    expect(given).toBeGreaterThan(cost - initialYieldCreditBytes);
  });

  test('fails with what its code threw after the values before it', async () => {
    const instance = await model();
    worker.onCall = (call) => {
      call.yields('a');
      call.fail(encodeUserError(new RangeError('ended badly')));
    };
    const values: unknown[] = [];
    const read = (async () => {
      for await (const value of instance.tokens(1)) values.push(value);
    })();
    expect(await outcome(read)).toBe('UserError ran');
    expect(values).toEqual(['a']);
  });

  test('whose arguments cannot travel fails at its first value', async () => {
    const instance = await model();
    const values = instance.tokens((() => 1) as never);
    expect(await outcome((async () => await values[Symbol.asyncIterator]().next())())).toBe('NotSerializable not-run');
  });
});
