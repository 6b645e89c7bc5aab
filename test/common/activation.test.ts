import { describe, expect, test } from 'vitest';
import {
  type ActivatedClass,
  type Activation,
  type ActivationPlan,
  activate,
  type InstanceClass,
} from '../../src/common/activation.js';
import type { Clock } from '../../src/common/clock.js';
import { type CallContext, currentCallContext } from '../../src/common/context.js';
import { isHoldfastError } from '../../src/common/errors.js';
import { alarmOf } from '../../src/common/instance-alarm.js';
import { LocalState } from '../../src/sdk/local/local-state.js';
import { CoalescingStorage } from '../../src/wire/link/instance-storage.js';

/** Time that passes at once, and says how much of it was asked for. */
function hastyClock(): Clock & { readonly slept: number[]; expire(): void } {
  const slept: number[] = [];
  const timers = new Set<() => void>();
  return {
    slept,
    expire: () => {
      for (const task of [...timers]) task();
    },
    now: () => 0,
    monotonic: () => 0,
    sleep: async (ms, signal) => {
      signal?.throwIfAborted();
      slept.push(ms);
    },
    after: (_ms, task) => {
      timers.add(task);
      return { cancel: () => timers.delete(task) };
    },
  };
}

const log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

function context(overrides: Partial<CallContext> = {}): CallContext {
  const storage = new CoalescingStorage(new LocalState(), { label: 'demo/Thing/a', hasAlarm: false });
  return {
    appName: 'demo',
    className: 'Thing',
    instanceId: 'a',
    callId: null,
    attempt: 1,
    epoch: 7,
    restarted: false,
    signal: new AbortController().signal,
    log,
    storage,
    ...alarmOf(() => storage),
    chain: [],
    deadline: null,
    traceparent: null,
    ...overrides,
  };
}

interface Given extends Partial<Omit<ActivatedClass, 'methods'>> {
  readonly methods?: readonly string[];
  readonly args?: readonly unknown[];
}

function plan(instanceClass: InstanceClass, { methods = [], args = [], ...given }: Given = {}): ActivationPlan {
  return {
    klass: { instanceClass, methods: new Set(methods), enterHooks: [], exitHooks: [], clock: hastyClock(), ...given },
    subject: { label: 'demo/Thing/a', hookContext: (signal, attempt) => context({ signal, attempt }) },
    args,
  };
}

const never = new AbortController().signal;

function start(instanceClass: InstanceClass, given: Given = {}): Promise<Activation> {
  return activate(plan(instanceClass, given), never);
}

describe('activation', () => {
  test('constructs with the arguments, then runs the enter hooks in the order given, each within the context', async () => {
    const seen: unknown[] = [];
    class Thing {
      constructor(...args: unknown[]) {
        seen.push(args, currentCallContext().instanceId);
      }
      async base(): Promise<void> {
        await Promise.resolve();
        seen.push('base', currentCallContext().callId);
      }
      derived(): void {
        seen.push('derived', currentCallContext().epoch);
      }
    }
    await start(Thing, { args: [1, 'two'], enterHooks: ['base', 'derived'] });
    expect(seen).toEqual([[1, 'two'], 'a', 'base', null, 'derived', 7]);
  });

  test('a hook that fails is tried again with a new object, after 100 and 400 ms', async () => {
    const objects = new Set<object>();
    const attempts: number[] = [];
    class Thing {
      load(): void {
        objects.add(this);
        attempts.push(currentCallContext().attempt);
        if (objects.size < 3) throw new Error('not yet');
      }
    }
    const clock = hastyClock();
    await start(Thing, { enterHooks: ['load'], clock });
    expect([objects.size, attempts, clock.slept]).toEqual([3, [1, 2, 3], [100, 400]]);
  });

  test('after three failed attempts the error names the hook and carries what it threw', async () => {
    class Thing {
      load(): void {
        throw new TypeError('no model');
      }
    }
    const failure: unknown = await start(Thing, { enterHooks: ['load'] }).catch((e: unknown) => e);
    expect(isHoldfastError(failure, 'ActivationFailed')).toBe(true);
    expect(failure).toMatchObject({ details: { attempts: 3, hook: 'load' }, outcome: 'not-run' });
    expect((failure as Error).cause).toBeInstanceOf(TypeError);
    expect((failure as Error).message).toContain('demo/Thing/a');
    expect((failure as Error).message).toContain('no model');
  });

  test('a constructor that throws counts as an attempt too', async () => {
    let attempts = 0;
    class Thing {
      constructor() {
        attempts += 1;
        throw new Error('no');
      }
    }
    await expect(start(Thing)).rejects.toMatchObject({ details: { attempts: 3, hook: 'constructor' } });
    expect(attempts).toBe(3);
  });

  test('is given up when the signal aborts, once the hook that ignores it has ended', async () => {
    const stop = new AbortController();
    const ran: string[] = [];
    class Thing {
      async load(): Promise<void> {
        stop.abort(new Error('given up'));
        await new Promise((resolve) => setImmediate(resolve));
        ran.push('load');
      }
      warm(): void {
        ran.push('warm');
      }
    }
    await expect(activate(plan(Thing, { enterHooks: ['load', 'warm'] }), stop.signal)).rejects.toThrow('given up');
    expect(ran).toEqual(['load']);
  });
});

describe('calls', () => {
  class Counter {
    #count = 0;
    add(by: number): number {
      this.#count += by;
      return this.#count;
    }
    async where(): Promise<string | null> {
      await Promise.resolve();
      return currentCallContext().callId;
    }
    fail(): never {
      throw new RangeError('mine');
    }
    hidden(): string {
      return 'secret';
    }
  }

  test('a method runs on the object, within its call', async () => {
    const activation = await start(Counter, { methods: ['add', 'where'] });
    expect(activation.invoke('add', [2], context())).toBe(2);
    expect(activation.invoke('add', [3], context())).toBe(5);
    expect(await activation.invoke('where', [], context({ callId: 'c1.9' }))).toBe('c1.9');
  });

  test('what a method throws comes through as it is', async () => {
    const activation = await start(Counter, { methods: ['fail'] });
    expect(() => activation.invoke('fail', [], context())).toThrow(RangeError);
  });

  test.each(['hidden', 'constructor', '__proto__', 'toString', 'hasOwnProperty', ''])(
    'only methods of the list can be called, not %j',
    async (name) => {
      const activation = await start(Counter, { methods: ['add'] });
      for (const call of ['invoke', 'generate'] as const) {
        expect(() => activation[call](name, [], context())).toThrow(expect.objectContaining({ code: 'NotFound' }));
      }
    },
  );

  test('outside of methods and hooks there is no current context', () => {
    expect(() => currentCallContext()).toThrow(expect.objectContaining({ code: 'InvalidArgument' }));
  });
});

describe('generators', () => {
  class Source {
    readonly log: string[] = [];
    *sync(): Generator<string | null> {
      try {
        yield 'a';
        yield currentCallContext().callId;
      } finally {
        this.log.push('sync left');
      }
    }
    async *async(): AsyncGenerator<string | null> {
      try {
        yield 'a';
        await Promise.resolve();
        yield currentCallContext().callId;
      } finally {
        this.log.push('async left');
      }
    }
    async later(): Promise<Iterable<number>> {
      return [1, 2];
    }
    left(): string[] {
      return this.log;
    }
    plain(): number {
      return 1;
    }
  }
  const methods = ['sync', 'async', 'later', 'left', 'plain'];

  test.each(['sync', 'async'])('every step of a %s generator runs within the call', async (name) => {
    const activation = await start(Source, { methods });
    const values = activation.generate(name, [], context({ callId: 'c1.1' }));
    const taken: unknown[] = [];
    for (let step = await values.next(); !step.done; step = await values.next()) taken.push(step.value);
    expect(taken).toEqual(['a', 'c1.1']);
    expect(activation.invoke('left', [], context())).toEqual([`${name} left`]);
  });

  test.each(['sync', 'async'])('return() runs the finally block of a %s generator that is left early', async (name) => {
    const activation = await start(Source, { methods });
    const values = activation.generate(name, [], context());
    await values.next();
    expect(await values.return?.()).toEqual({ done: true, value: undefined });
    expect(activation.invoke('left', [], context())).toEqual([`${name} left`]);
  });

  test('an async method may return an iterable', async () => {
    const activation = await start(Source, { methods });
    const values = activation.generate('later', [], context());
    expect([(await values.next()).value, (await values.next()).value, (await values.next()).done]).toEqual([
      1,
      2,
      true,
    ]);
  });

  test('a method that returns no iterable is refused with what to do', async () => {
    const activation = await start(Source, { methods });
    await expect(activation.generate('plain', [], context()).next()).rejects.toMatchObject({ code: 'InvalidArgument' });
  });
});

describe('exit', () => {
  test('the hooks run once, in order, with the reason; who asks again gets the same report', async () => {
    const seen: unknown[] = [];
    class Thing {
      async first(reason: string): Promise<void> {
        await Promise.resolve();
        seen.push('first', reason, currentCallContext().instanceId);
      }
      second(reason: string): void {
        seen.push('second', reason);
      }
    }
    const activation = await start(Thing, { exitHooks: ['first', 'second'] });
    const reports = await Promise.all([activation.exit('drain', 1_000), activation.exit('close', 1_000)]);
    expect(reports).toEqual([{ exitHook: 'ran' }, { exitHook: 'ran' }]);
    expect(seen).toEqual(['first', 'drain', 'a', 'second', 'drain']);
  });

  test('a hook that throws is reported, and the others still run', async () => {
    let ranLast = false;
    class Thing {
      bad(): void {
        throw new Error('disk full');
      }
      last(): void {
        ranLast = true;
      }
    }
    const activation = await start(Thing, { exitHooks: ['bad', 'last'] });
    expect(await activation.exit('close', 1_000)).toEqual({
      exitHook: 'failed',
      error: expect.stringContaining('disk full'),
    });
    expect(ranLast).toBe(true);
  });

  test('a hook that does not end is left behind at its time, its signal aborted', async () => {
    let aborted = false;
    class Thing {
      hang(): Promise<void> {
        currentCallContext().signal.addEventListener('abort', () => {
          aborted = true;
        });
        return new Promise(() => undefined);
      }
    }
    const clock = hastyClock();
    const activation = await start(Thing, { exitHooks: ['hang'], clock });
    const report = activation.exit('idle', 50);
    clock.expire();
    expect(await report).toMatchObject({ exitHook: 'timed-out' });
    expect(aborted).toBe(true);
  });

  test('without hooks there is nothing to run', async () => {
    const activation = await start(class {});
    expect(await activation.exit('close', 1_000)).toEqual({ exitHook: 'none' });
  });
});
