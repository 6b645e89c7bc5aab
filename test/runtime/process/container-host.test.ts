import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../../src/adapters/system/clock.js';
import type { InstanceClass } from '../../../src/common/activation.js';
import { currentCallContext } from '../../../src/common/context.js';
import { HoldfastError } from '../../../src/common/errors.js';
import type { Transport } from '../../../src/common/ports/channel.js';
import { loadBundle } from '../../../src/runtime/container/load-bundle.js';
import { runContainer } from '../../../src/runtime/container/run-container.js';
import { encodeError } from '../../../src/wire/errors.js';
import { decodeBody, encodeBody } from '../../../src/wire/frames/frame-bodies.js';
import { readBody } from '../../../src/wire/frames/frame-reader.js';
import {
  chunkWindowBytes,
  initialYieldCreditBytes,
  inlinePayloadBytes,
  type LoadBody,
  yieldOverheadBytes,
} from '../../../src/wire/frames/frames.js';
import { createChannelPair } from '../../../src/wire/link/channel-pair.js';
import { CancelReason, ContainerDriver, FrameKind } from './container-driver.js';
import { forgetful } from './forgetful-channel.js';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** What the user's code did, for the tests to see. */
const events: unknown[] = [];
let release: () => void = () => undefined;

class Thing {
  readonly #args: unknown[];
  constructor(...args: unknown[]) {
    this.#args = args;
  }
  args(): unknown[] {
    return this.#args;
  }
  echo(value: unknown): unknown {
    return value;
  }
  async slowEcho(value: unknown): Promise<unknown> {
    await new Promise<void>((resolve) => {
      release = resolve;
    });
    return value;
  }
  size(bytes: Uint8Array): number {
    return bytes.length;
  }
  big(bytes: number): Uint8Array {
    return new Uint8Array(bytes).fill(7);
  }
  fail(): never {
    throw Object.assign(new RangeError('mine'), { field: 5 });
  }
  unsendable(): unknown {
    return { deep: [{ fn: () => 1 }] };
  }
  async waitForAbort(): Promise<never> {
    const { signal } = currentCallContext();
    events.push('waiting');
    await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
    throw new Error('unreachable');
  }
  async stubborn(): Promise<string> {
    const { signal } = currentCallContext();
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    return 'stayed';
  }
  context(): unknown {
    const { appName, className, instanceId, callId, attempt, epoch, restarted, chain, traceparent, deadline } =
      currentCallContext();
    const remaining = deadline === null ? null : deadline - systemClock.monotonic() > 0;
    return { appName, className, instanceId, callId, attempt, epoch, restarted, chain, traceparent, remaining };
  }
  say(text: string, fields: object): void {
    currentCallContext().log.warn(text, fields);
  }
  async *count(to: number): AsyncGenerator<number> {
    try {
      for (let i = 0; i < to; i += 1) yield i;
    } finally {
      events.push('left');
    }
  }
  *blocks(count: number, bytes: number): Generator<Uint8Array> {
    for (let i = 0; i < count; i += 1) {
      events.push(i);
      yield new Uint8Array(bytes).fill(i);
    }
  }
  *unsendableValue(): Generator<unknown> {
    try {
      yield 1;
      yield () => 1;
    } finally {
      events.push('left');
    }
  }
  *throwing(): Generator<number> {
    yield 1;
    throw new Error('half way');
  }
  load(): void {
    events.push('enter');
  }
  async loadSlowly(): Promise<void> {
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    events.push('enter');
  }
  failToLoad(): never {
    throw new TypeError('no model');
  }
  unload(reason: string): void {
    events.push(`exit ${reason}`);
  }
}
const methods = Object.getOwnPropertyNames(Thing.prototype).filter(
  (name) => !['constructor', 'load', 'loadSlowly', 'failToLoad', 'unload'].includes(name),
);

interface Started {
  readonly driver: ContainerDriver;
  readonly transport: Transport;
  readonly env: Record<string, string>;
  readonly closed: Promise<Error | null>;
  readonly cut: () => void;
}

function start(importBundle: (path: string) => Promise<unknown> = async () => undefined): Started {
  const pair = createChannelPair();
  const env: Record<string, string> = {};
  let transport: Transport | null = null;
  const container = runContainer({
    channel: forgetful(pair.right),
    resolveClass: (app, name): InstanceClass | undefined => (app === 'demo' && name === 'Thing' ? Thing : undefined),
    load: (body) => loadBundle(body, { setEnv: (more) => Object.assign(env, more), importBundle }),
    clock: systemClock,
    onTransport: (made) => {
      transport = made;
    },
  });
  cleanups.push(() => pair.cut());
  events.length = 0;
  return {
    driver: new ContainerDriver(pair.left),
    transport: transport as unknown as Transport,
    env,
    closed: container.closed,
    cut: () => pair.cut(),
  };
}

function bundle(text = '// nothing'): { bundlePath: string; bundleSha256: string } {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-bundle-'));
  cleanups.push(() => rmSync(folder, { recursive: true }));
  const bundlePath = join(folder, 'bundle.mjs');
  writeFileSync(bundlePath, text);
  return { bundlePath, bundleSha256: createHash('sha256').update(text).digest('hex') };
}

async function active(args: unknown[] = [], facts: Partial<LoadBody> = {}): Promise<Started> {
  const started = start();
  await started.driver.load({ ...bundle(), methods, ...facts });
  await started.driver.activate(1, args);
  return started;
}

describe('calls that were sent ahead', () => {
  test('begin in their order when the one before them has ended', async () => {
    const { driver } = await active([], { concurrentRequests: 1 });
    await driver.activate(2);
    const first = driver.begin('slowEcho', ['first'], { slot: 2 });
    const others = ['second', 'third'].map((value) => driver.begin('echo', [value], { slot: 2, queued: true }));
    await driver.call('echo', ['through'], { slot: 1 });
    expect(driver.seen.some(({ ref }) => others.includes(ref))).toBe(false);
    release();
    expect(await driver.result(first)).toBe('first');
    expect(await Promise.all(others.map((ref) => driver.result(ref)))).toEqual(['second', 'third']);
    const refs = driver.seen.filter(({ kind }) => kind === FrameKind.Result).map(({ ref }) => ref);
    expect(refs.slice(-3)).toEqual([first, ...others]);
  });

  test('begin at once where the call before them has ended meanwhile', async () => {
    const { driver } = await active([], { concurrentRequests: 1 });
    await driver.activate(2);
    expect(await driver.call('echo', ['first'], { slot: 2 })).toBe('first');
    expect(await driver.call('echo', ['second'], { slot: 2, queued: true })).toBe('second');
  });

  test('never begin where they are cancelled, and are given back where they are recalled', async () => {
    const { driver } = await active([], { concurrentRequests: 1 });
    await driver.activate(2);
    const first = driver.begin('slowEcho', ['first'], { slot: 2 });
    const [cancelled, recalled, last] = ['a', 'b', 'c'].map((value) =>
      driver.begin('echo', [value], { slot: 2, queued: true }),
    ) as [number, number, number];
    driver.cancel(cancelled, CancelReason.caller);
    driver.cancel(recalled, CancelReason.recalled);
    driver.cancel(first, CancelReason.recalled);
    expect(await driver.errorOf(cancelled)).toMatchObject({ code: 'Cancelled', outcome: 'not-run' });
    await driver.next(({ ref, kind }) => ref === recalled && kind === FrameKind.Moved);
    release();
    expect(await driver.result(first)).toBe('first');
    expect(await driver.result(last)).toBe('c');
  });
});

describe('loading', () => {
  test('the bundle is imported with its variables set', async () => {
    const { bundlePath, bundleSha256 } = bundle();
    let imported = '';
    const started = start(async (path) => {
      imported = `${path} ${started.env['GREETING']}`;
    });
    await started.driver.load({ bundlePath, bundleSha256, env: { GREETING: 'hello' } });
    expect(imported).toBe(`${bundlePath} hello`);
  });

  test('a bundle with another hash is not imported', async () => {
    const started = start(() => Promise.reject(new Error('imported')));
    const loading = started.driver.load({ ...bundle(), bundleSha256: 'f'.repeat(64) });
    await expect(loading).rejects.toMatchObject({
      code: 'ActivationFailed',
      message: expect.stringContaining('f'.repeat(64)),
    });
  });

  test('what the bundle throws at its import is the cause, and nothing of the user ran', async () => {
    const started = start(() => Promise.reject(new SyntaxError('oh no')));
    const failure: unknown = await started.driver.load(bundle()).catch((e: unknown) => e);
    expect(failure).toMatchObject({ code: 'ActivationFailed', outcome: 'not-run' });
    expect((failure as Error).cause).toMatchObject({ name: 'SyntaxError', message: 'oh no' });
  });
});

describe('instances', () => {
  test('are made with their arguments, several in one container, each by its slot', async () => {
    const { driver } = await active(['one', new Map([[1, 2]])], { enterHooks: ['load'] });
    await driver.activate(2, ['two']);
    expect(await driver.call('args')).toEqual(['one', new Map([[1, 2]])]);
    expect(await driver.call('args', [], { slot: 2 })).toEqual(['two']);
    expect(events).toEqual(['enter', 'enter']);
  });

  test('a hook that always fails is ActivationFailed with its cause', async () => {
    const { driver } = start();
    await driver.load({ ...bundle(), enterHooks: ['failToLoad'] });
    await expect(driver.activate(1)).rejects.toMatchObject({
      code: 'ActivationFailed',
      details: { attempts: 3, hook: 'failToLoad' },
      cause: { name: 'TypeError', message: 'no model' },
    });
  });

  test('a class that the bundle does not have is named', async () => {
    const { driver } = start();
    await expect(driver.load({ ...bundle(), className: 'Other' })).rejects.toMatchObject({
      code: 'ActivationFailed',
      message: expect.stringContaining('Other'),
    });
  });

  test('an activation that is told to leave is not reported as active afterwards', async () => {
    const { driver } = start();
    await driver.load({ ...bundle(), enterHooks: ['failToLoad'] });
    void driver.activate(2).catch(() => undefined);
    expect(await driver.deactivate(2, { reason: null, timeoutMs: 0 })).toEqual({ exitHook: 'skipped' });
    await expect(driver.activate(3)).rejects.toMatchObject({ code: 'ActivationFailed' });
    expect(driver.seen.filter((seen) => seen.slot === 2).map((seen) => seen.kind)).toEqual([FrameKind.Deactivated]);
  });

  test('S8: one that is told to leave under its enter hook has left when that has ended', async () => {
    const { driver } = start();
    await driver.load({ ...bundle(), enterHooks: ['loadSlowly'] });
    void driver.activate(2).catch(() => undefined); // never answered
    expect(await driver.deactivate(2, { reason: null, timeoutMs: 0 })).toEqual({ exitHook: 'skipped' });
    expect(events).toEqual(['enter']);
  });

  test('leave with their exit hooks and the reason; calls for them are then refused', async () => {
    const { driver } = await active([], { exitHooks: ['unload'] });
    await driver.activate(2);
    expect(await driver.deactivate(2, { reason: 'drain', timeoutMs: 1_000 })).toEqual({ exitHook: 'ran' });
    expect(events).toEqual(['exit drain']);
    await expect(driver.call('args', [], { slot: 2 })).rejects.toMatchObject({ code: 'Internal', outcome: 'not-run' });
    expect(await driver.deactivate(2, { reason: 'close', timeoutMs: 1_000 })).toEqual({ exitHook: 'skipped' });
  });
});

describe('calls', () => {
  test('values of every kind come back as they are', async () => {
    const { driver } = await active();
    for (const value of [undefined, null, 0, -0, 'x', 10n, new Date(5), new Set([1]), [1, { a: 2 }]]) {
      expect(await driver.call('echo', [value])).toEqual(value);
    }
  });

  test('the context says whose call it is, and carries what nested calls need', async () => {
    const { driver } = await active();
    const meta = { attempt: 3, traceparent: '00-aa-bb-01', chain: [{ callId: 'c0.1', label: 'demo/Outer/x.run' }] };
    const ref = driver.begin('context', [], { meta, remainingMs: 60_000 });
    expect(await driver.result(ref)).toEqual({
      appName: 'demo',
      className: 'Thing',
      instanceId: 'i1',
      callId: `c1.${ref}`,
      attempt: 3,
      epoch: 5,
      restarted: false,
      chain: [...meta.chain, { callId: `c1.${ref}`, label: 'demo/Thing/i1.context' }],
      traceparent: '00-aa-bb-01',
      remaining: true,
    });
    expect(await driver.call('context')).toMatchObject({ attempt: 1, traceparent: null, remaining: null });
  });

  test('an error of the user arrives as cause, with name, message and fields', async () => {
    const { driver } = await active();
    await expect(driver.call('fail')).rejects.toMatchObject({
      code: 'UserError',
      outcome: 'ran',
      cause: { name: 'RangeError', message: 'mine', field: 5 },
    });
  });

  test('a result that cannot be sent is NotSerializable with its path, and the code has run', async () => {
    const { driver } = await active();
    await expect(driver.call('unsendable')).rejects.toMatchObject({
      code: 'NotSerializable',
      outcome: 'ran',
      details: { path: expect.stringContaining('deep') },
    });
  });

  test.each(['constructor', 'toString', 'load', 'nope'])('%s is no method, whatever the object has', async (name) => {
    const { driver } = await active();
    await expect(driver.call(name)).rejects.toMatchObject({ code: 'NotFound', outcome: 'not-run' });
  });

  test('many calls at once are answered each by its number', async () => {
    const { driver } = await active();
    const refs = Array.from({ length: 500 }, (_, i) => driver.begin('echo', [i]));
    expect(await Promise.all(refs.map((ref) => driver.result(ref)))).toEqual(refs.map((_, i) => i));
  });

  test('an argument of 5 MiB comes in chunks, with no more credit outstanding than the window', async () => {
    const { driver } = await active();
    expect(await driver.call('size', [new Uint8Array(5 * 1_048_576)])).toBe(5 * 1_048_576);
    const credits = driver.seen
      .filter((seen) => seen.kind === FrameKind.Credit)
      .map((seen) => readBody(seen.frame).readUInt32LE());
    expect(Math.max(...credits)).toBeLessThanOrEqual(chunkWindowBytes);
    expect(credits.length).toBeGreaterThanOrEqual(5);
  });

  test('while a large argument is on its way small calls pass', async () => {
    const { driver } = await active();
    const large = driver.begin('size', [new Uint8Array(5 * 1_048_576)]);
    expect(await driver.call('echo', ['small'])).toBe('small');
    expect(await driver.result(large)).toBe(5 * 1_048_576);
  });

  test('more bytes than a call has announced break the channel', async () => {
    const { driver, closed } = await active();
    const ref = driver.begin('size', [new Uint8Array(2 * inlinePayloadBytes)], { holdChunks: true });
    for (let i = 0; i < 3; i += 1) driver.send(FrameKind.Chunk, { ref, body: new Uint8Array(inlinePayloadBytes) });
    expect(await closed).toMatchObject({ code: 'InvalidArgument' });
  });

  test('a result of 5 MiB waits for the credit of its reader, and gives no more than that', async () => {
    const { driver } = await active();
    const ref = driver.begin('big', [5 * 1_048_576]);
    const result = driver.result(ref, { holdCredit: true });
    await driver.until(() => driver.bytesOf(ref) === inlinePayloadBytes);
    driver.credit(ref, 100_000);
    await driver.until(() => driver.bytesOf(ref) === inlinePayloadBytes + 100_000);
    expect(await driver.call('echo', [1])).toBe(1);
    expect(driver.bytesOf(ref)).toBe(inlinePayloadBytes + 100_000);
    driver.credit(ref, 5 * 1_048_576);
    expect(Buffer.compare((await result) as Uint8Array, Buffer.alloc(5 * 1_048_576, 7))).toBe(0);
  });

  test('log lines carry the instance, the call and plain fields', async () => {
    const { driver } = await active();
    const ref = driver.begin('say', ['hot', { error: new RangeError('x'), big: 1n }]);
    await driver.result(ref);
    const line = await driver.next((seen) => seen.kind === FrameKind.Log);
    expect(line.slot).toBe(1);
    expect(decodeBody(readBody(line.frame))).toMatchObject({ level: 'warn', message: 'hot', callId: `c1.${ref}` });
    expect(decodeBody(readBody(line.frame))['fields']).toMatchObject({
      big: '1',
      error: { name: 'RangeError', message: 'x' },
    });
  });
});

describe('cancelling', () => {
  test.each([
    [CancelReason.caller, 'Cancelled'],
    [CancelReason.deadline, 'DeadlineExceeded'],
    [CancelReason.forceClose, 'InstanceClosed'],
    [CancelReason.fenced, 'InstanceLost'],
  ] as const)(
    'reason %i aborts the signal with %s, which is the answer where the code ends by it',
    async (reason, code) => {
      const { driver } = await active();
      const ref = driver.begin('waitForAbort', []);
      await driver.call('echo', []);
      expect(events).toEqual(['waiting']);
      driver.cancel(ref, reason);
      await expect(driver.result(ref)).rejects.toMatchObject({ code, outcome: 'ran' });
    },
  );

  test('code that goes on in spite of it is answered when it really ends', async () => {
    const { driver } = await active();
    const ref = driver.begin('stubborn', []);
    driver.cancel(ref, CancelReason.deadline);
    expect(await driver.result(ref)).toBe('stayed');
  });

  test('a call whose arguments are still on their way never runs', async () => {
    const { driver } = await active();
    const payload = new Uint8Array(5 * 1_048_576);
    const ref = driver.begin('echo', [payload]);
    driver.cancel(ref, CancelReason.caller);
    await expect(driver.result(ref)).rejects.toMatchObject({ code: 'Cancelled', outcome: 'not-run' });
  });

  test('a large result that is no longer wanted is dropped', async () => {
    const { driver } = await active();
    const ref = driver.begin('big', [5 * 1_048_576]);
    await driver.until(() => driver.bytesOf(ref) === inlinePayloadBytes);
    driver.cancel(ref, CancelReason.abandoned);
    expect(await driver.errorOf(ref)).toMatchObject({ code: 'Cancelled', outcome: 'ran' });
    driver.credit(ref, 5 * 1_048_576);
    await driver.call('echo', []);
    expect(driver.bytesOf(ref)).toBe(inlinePayloadBytes);
  });
});

describe('generators', () => {
  test('stream their values and end', async () => {
    const { driver } = await active();
    const ref = driver.begin('count', [3], { generator: true });
    await driver.next((seen) => seen.ref === ref && seen.kind === FrameKind.End);
    expect(driver.values(ref)).toEqual([0, 1, 2]);
    expect(events).toEqual(['left']);
  });

  test('stop being pulled when the credit is used up, and go on with more', async () => {
    const { driver } = await active();
    const size = 10_000;
    const ref = driver.begin('blocks', [200, size], { generator: true });
    const perValue = size + yieldOverheadBytes;
    const least = Math.floor(initialYieldCreditBytes / (perValue + 16));
    await driver.until(() => driver.values(ref).length >= least);
    await driver.call('echo', []);
    const pulled = events.length;
    expect(pulled).toBeLessThanOrEqual(Math.ceil(initialYieldCreditBytes / perValue) + 1);
    driver.credit(ref, 5 * perValue);
    await driver.until(() => driver.values(ref).length > pulled);
    driver.credit(ref, 200 * (perValue + 16));
    await driver.next((seen) => seen.ref === ref && seen.kind === FrameKind.End);
    expect(driver.values(ref)).toHaveLength(200);
  });

  test('a value larger than the credit comes in chunks as credit comes', async () => {
    const { driver } = await active();
    const ref = driver.begin('blocks', [1, 5 * 1_048_576], { generator: true });
    await driver.until(() => driver.bytesOf(ref) >= initialYieldCreditBytes);
    await driver.call('echo', []);
    expect(driver.bytesOf(ref)).toBeLessThanOrEqual(initialYieldCreditBytes + inlinePayloadBytes);
    driver.credit(ref, 6 * 1_048_576);
    await driver.next((seen) => seen.ref === ref && seen.kind === FrameKind.End);
    expect(driver.bytesOf(ref)).toBeGreaterThan(5 * 1_048_576);
  });

  test('one that its reader leaves runs its finally block, then ends', async () => {
    const { driver } = await active();
    const ref = driver.begin('count', [1_000_000], { generator: true });
    await driver.until(() => driver.values(ref).length > 0);
    driver.cancel(ref, CancelReason.abandoned);
    await driver.next((seen) => seen.ref === ref && seen.kind === FrameKind.End);
    expect(events).toEqual(['left']);
  });

  test('what it throws half way follows its values', async () => {
    const { driver } = await active();
    const ref = driver.begin('throwing', [], { generator: true });
    expect(await driver.errorOf(ref)).toMatchObject({ code: 'UserError', cause: { message: 'half way' } });
    expect(driver.values(ref)).toEqual([1]);
  });

  test('a value that cannot be sent ends it, its finally block included', async () => {
    const { driver } = await active();
    const ref = driver.begin('unsendableValue', [], { generator: true });
    expect(await driver.errorOf(ref)).toMatchObject({ code: 'NotSerializable', outcome: 'ran' });
    expect(events).toEqual(['left']);
  });
});

describe('the transport inside', () => {
  test('a tunnel carries messages both ways and closes on both sides', async () => {
    const { driver, transport } = await active();
    const channel = transport.openWorker('10.0.0.1:7');
    const got: string[] = [];
    const closed = new Promise<Error | null>((resolve) => {
      channel.open({
        onMessage: (m) => got.push(Buffer.from(m).toString()),
        onDrain: () => undefined,
        onClosed: resolve,
      });
    });
    channel.send(Buffer.from('ping'));
    const opened = await driver.next((seen) => seen.kind === FrameKind.TunnelOpen);
    expect(readBody(opened.frame).toString()).toBe('10.0.0.1:7');
    const data = await driver.next((seen) => seen.kind === FrameKind.TunnelData);
    expect([data.ref, readBody(data.frame).toString()]).toEqual([opened.ref, 'ping']);
    driver.send(FrameKind.TunnelData, { ref: opened.ref, body: Buffer.from('pong') });
    driver.send(FrameKind.TunnelClose, {
      ref: opened.ref,
      body: encodeError(new HoldfastError('Unavailable', 'gone')),
    });
    expect(await closed).toMatchObject({ code: 'Unavailable', message: 'gone' });
    expect(got).toEqual(['pong']);
  });

  test('closing a tunnel tells the worker, and its own side once', async () => {
    const { driver, transport } = await active();
    const channel = transport.openRouter();
    let closes = 0;
    channel.open({ onMessage: () => undefined, onDrain: () => undefined, onClosed: () => (closes += 1) });
    channel.close();
    channel.close();
    await driver.next((seen) => seen.kind === FrameKind.TunnelClose);
    expect(closes).toBe(1);
  });

  test('a unary request is answered, or fails with what the router said', async () => {
    const { driver, transport } = await active();
    const answering = transport.unary('Lookup', Buffer.from('q'), { timeoutMs: 10_000 });
    const first = await driver.next((seen) => seen.kind === FrameKind.Unary);
    expect(decodeBody(readBody(first.frame))).toMatchObject({ method: 'Lookup', timeoutMs: 10_000 });
    driver.send(FrameKind.UnaryReply, { ref: first.ref, body: Buffer.from('\x01answer') });
    expect(Buffer.from(await answering).toString()).toBe('answer');
    const failing = transport.unary('Deploy', Buffer.from(''), { timeoutMs: 10_000 });
    const second = await driver.next((seen) => seen.kind === FrameKind.Unary && seen.ref !== first.ref);
    const error = Buffer.concat([Uint8Array.of(0), encodeError(new HoldfastError('PermissionDenied', 'no'))]);
    driver.send(FrameKind.UnaryReply, { ref: second.ref, body: error });
    await expect(failing).rejects.toMatchObject({ code: 'PermissionDenied' });
  });

  test('a unary request nobody answers ends at its deadline, or with its signal', async () => {
    const { transport } = await active();
    await expect(transport.unary('Lookup', Buffer.from(''), { timeoutMs: 20 })).rejects.toMatchObject({
      code: 'DeadlineExceeded',
    });
    const stop = new AbortController();
    const aborted = transport.unary('Lookup', Buffer.from(''), { timeoutMs: 60_000, signal: stop.signal });
    stop.abort(new Error('enough'));
    await expect(aborted).rejects.toThrow('enough');
  });

  test('when the worker is gone everything fails, and what is asked later too', async () => {
    const { transport, closed, cut } = await active();
    const channel = transport.openRouter();
    const ended = new Promise((resolve) => {
      channel.open({ onMessage: () => undefined, onDrain: () => undefined, onClosed: resolve });
    });
    const unanswered = transport.unary('Lookup', Buffer.from(''), { timeoutMs: 60_000 });
    cut();
    await expect(unanswered).rejects.toMatchObject({ code: 'Unavailable' });
    expect(await ended).toMatchObject({ code: 'Unavailable' });
    expect(await closed).toMatchObject({ code: 'Unavailable' });
    await expect(transport.unary('Lookup', Buffer.from(''), { timeoutMs: 1 })).rejects.toMatchObject({
      code: 'Unavailable',
    });
  });
});

test('frames that are none end the container, with the reason', async () => {
  const { driver, closed } = await active();
  driver.send(FrameKind.Moved, { body: encodeBody({}) });
  expect(await closed).toMatchObject({ code: 'InvalidArgument' });
});

test('a slow call does not hold up others', async () => {
  const { driver } = await active();
  const slow = driver.begin('slowEcho', ['slow']);
  expect(await driver.call('echo', ['fast'])).toBe('fast');
  release();
  expect(await driver.result(slow)).toBe('slow');
});
