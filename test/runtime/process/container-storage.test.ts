import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../../src/adapters/system/clock.js';
import { currentCallContext } from '../../../src/common/context.js';
import { HoldfastError } from '../../../src/common/errors.js';
import type { InstanceStorage } from '../../../src/common/instance-storage.js';
import { loadBundle } from '../../../src/runtime/container/load-bundle.js';
import { runContainer } from '../../../src/runtime/container/run-container.js';
import { encodeError } from '../../../src/wire/errors.js';
import { encodeBody } from '../../../src/wire/frames/frame-bodies.js';
import { readBody } from '../../../src/wire/frames/frame-reader.js';
import { readStateRequest } from '../../../src/wire/frames/state-bodies.js';
import { createChannelPair } from '../../../src/wire/link/channel-pair.js';
import { ContainerDriver, FrameKind, type SeenFrame } from './container-driver.js';
import { forgetful } from './forgetful-channel.js';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

let kept: InstanceStorage | null = null;

/** Writes without waiting for it. */
class Careless {
  write(): string {
    void currentCallContext().storage.put('n', 1);
    return 'written';
  }
  fail(): never {
    void currentCallContext().storage.put('n', 1);
    throw new Error('after all');
  }
  *values(): Generator<number> {
    yield 0;
    void currentCallContext().storage.put('n', 1);
    yield 1;
  }
  big(): Uint8Array {
    void currentCallContext().storage.put('n', 1);
    return new Uint8Array(100_000).fill(7);
  }
  echo(value: unknown): unknown {
    kept = currentCallContext().storage;
    return value;
  }
  async read(count: number): Promise<unknown[]> {
    const { storage } = currentCallContext();
    return Promise.all(Array.from({ length: count }, (_, i) => storage.get(`k${i}`)));
  }
  leave(): void {
    void currentCallContext().storage.put('left', true);
  }
}
const methods = ['write', 'fail', 'values', 'big', 'echo', 'read'];

async function active(): Promise<ContainerDriver> {
  const pair = createChannelPair();
  cleanups.push(() => pair.cut());
  runContainer({
    channel: forgetful(pair.right),
    resolveClass: () => Careless,
    load: (body) => loadBundle(body, { setEnv: () => undefined, importBundle: async () => undefined }),
    clock: systemClock,
    onTransport: () => undefined,
  });
  const driver = new ContainerDriver(pair.left);
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-bundle-'));
  cleanups.push(() => rmSync(folder, { recursive: true }));
  const bundlePath = join(folder, 'bundle.mjs');
  writeFileSync(bundlePath, '//');
  const bundleSha256 = createHash('sha256').update('//').digest('hex');
  await driver.load({ bundlePath, bundleSha256, className: 'Careless', methods, exitHooks: ['leave'] });
  await driver.activate(1);
  return driver;
}

/** The n-th request for state, from 0. */
async function asked(driver: ContainerDriver, n: number): Promise<SeenFrame> {
  const requests = () => driver.seen.filter(({ kind }) => kind === FrameKind.State);
  await driver.until(() => requests().length > n);
  return requests()[n] as SeenFrame;
}

function stored(driver: ContainerDriver, { ref }: SeenFrame, value: object = {}): void {
  driver.send(FrameKind.StateReply, { ref, body: Buffer.concat([Uint8Array.of(1), encodeBody(value)]) });
}

function refused(driver: ContainerDriver, { ref }: SeenFrame, error: Error): void {
  driver.send(FrameKind.StateReply, { ref, body: Buffer.concat([Uint8Array.of(0), encodeError(error)]) });
}

/** Whether the call had an answer, or a part of one, before another one that was begun and answered after it. */
async function hasAnswered(driver: ContainerDriver, ref: number): Promise<boolean> {
  await new Promise((resolve) => setImmediate(resolve));
  return driver.seen.some((seen) => seen.ref === ref && seen.kind !== FrameKind.State);
}

describe('D3: what a call has written is stored before its answer leaves', () => {
  test.each(['write', 'big'])('its result: %s', async (method) => {
    const driver = await active();
    const ref = driver.begin(method, []);
    const request = await asked(driver, 0);
    expect(readStateRequest(readBody(request.frame))).toMatchObject({ op: 'commit', commit: { sequence: 1 } });
    expect(await hasAnswered(driver, ref)).toBe(false);
    stored(driver, request);
    expect(await driver.result(ref)).toEqual(method === 'write' ? 'written' : new Uint8Array(100_000).fill(7));
  });

  test('its error', async () => {
    const driver = await active();
    const ref = driver.begin('fail', []);
    const request = await asked(driver, 0);
    expect(await hasAnswered(driver, ref)).toBe(false);
    stored(driver, request);
    expect(await driver.errorOf(ref)).toMatchObject({ code: 'UserError' });
  });

  test('each value of a generator', async () => {
    const driver = await active();
    const ref = driver.begin('values', [], { generator: true });
    const request = await asked(driver, 0);
    await driver.until(() => driver.values(ref).length === 1);
    await new Promise((resolve) => setImmediate(resolve));
    expect(driver.values(ref)).toEqual([0]);
    stored(driver, request);
    await driver.next((seen) => seen.ref === ref && seen.kind === FrameKind.End);
    expect(driver.values(ref)).toEqual([0, 1]);
  });

  test('the answers of others that run in the instance, whoever wrote', async () => {
    const driver = await active();
    driver.begin('write', []);
    const request = await asked(driver, 0);
    const other = driver.begin('echo', [5]);
    expect(await hasAnswered(driver, other)).toBe(false);
    stored(driver, request);
    expect(await driver.result(other)).toBe(5);
  });

  test('and is its error where the store refuses it for good', async () => {
    const driver = await active();
    const ref = driver.begin('write', []);
    refused(driver, await asked(driver, 0), new HoldfastError('Unavailable', 'no permission', { retryable: false }));
    expect(await driver.errorOf(ref)).toMatchObject({ code: 'Unavailable', outcome: 'ran', message: 'no permission' });
  });
});

test('what exit hooks have written is stored before the instance has left, and nothing after that', async () => {
  const driver = await active();
  await driver.call('echo', [1]);
  const left = driver.deactivate(1, { reason: 'drain', timeoutMs: 5_000 });
  const request = await asked(driver, 0);
  await new Promise((resolve) => setImmediate(resolve));
  expect(driver.seen.some(({ kind }) => kind === FrameKind.Deactivated)).toBe(false);
  stored(driver, request);
  expect(await left).toMatchObject({ exitHook: 'ran' });
  await expect(kept?.put('n', 2)).rejects.toMatchObject({ code: 'InstanceClosed' });
});

test('however many reads there are, the worker is asked for 64 at once', async () => {
  const driver = await active();
  const ref = driver.begin('read', [100]);
  await asked(driver, 63);
  await new Promise((resolve) => setImmediate(resolve));
  const requests = () => driver.seen.filter(({ kind }) => kind === FrameKind.State);
  expect(requests()).toHaveLength(64);
  for (let i = 0; i < 100; i += 1) stored(driver, await asked(driver, i), { value: null });
  expect(await driver.result(ref)).toHaveLength(100);
});

test('an answer that nobody has asked for ends the container', async () => {
  const driver = await active();
  driver.send(FrameKind.StateReply, { ref: 99, body: Buffer.from([1]) });
  expect(await driver.closed).toBeInstanceOf(Error);
});
