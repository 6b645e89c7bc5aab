import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createRedisStore } from '../../src/adapters/redis/redis-store.js';
import { systemClock } from '../../src/adapters/system/clock.js';
import { instanceKey } from '../../src/common/ids.js';
import type { Store } from '../../src/common/ports/store.js';
import { creation } from '../contracts/store/pin-changes.js';
import { freePort, startRedis, type TestServer } from '../servers.js';
import { untilAnswered } from './until-answered.js';

describe('a Redis that fails', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startRedis();
  });
  afterAll(() => server[Symbol.asyncDispose]());
  const open = (url = server.url): Promise<Store> =>
    createRedisStore({ url, clock: systemClock, opTimeoutMs: 500, quarantineMs: 1 });
  const who = (id: string) => ({ account: 'a', app: 'app', className: 'C', id });

  test('a store on a port where nobody listens says which url and what to do, without the password', async () => {
    const port = await freePort();
    const error = await open(`redis://user:secret@127.0.0.1:${port}`).catch((e: unknown) => e);
    expect(error).toMatchObject({ code: 'Unavailable', outcome: 'not-run', retryable: true });
    expect(String(error)).toMatch(
      new RegExp(`Redis at redis://127\\.0\\.0\\.1:${port} cannot be reached .*ECONNREFUSED.*start it`),
    );
    expect(String(error)).not.toContain('secret');
  });

  test('a cluster whose nodes are all away is unavailable at start', async () => {
    const port = await freePort();
    const error = await open(`redis+cluster://127.0.0.1:${port}`).catch((e: unknown) => e);
    expect(error).toMatchObject({ code: 'Unavailable', outcome: 'not-run' });
    expect(String(error)).toContain(`redis+cluster://127.0.0.1:${port}`);
  });

  test('an operation on a server that stopped answering ends at its deadline with an unknown outcome', async () => {
    const store = await open();
    server.signal('SIGSTOP');
    try {
      const error = await store.pins
        .change(instanceKey(who('stopped')), creation(who('stopped')))
        .catch((e: unknown) => e);
      expect(error).toMatchObject({ code: 'Unavailable', outcome: 'unknown', retryable: true });
      expect(String(error)).toContain('did not answer within 500 ms');
    } finally {
      server.signal('SIGCONT');
      await store.close();
    }
  });

  test('a change that timed out is read back with its opId once the server answers again', async () => {
    const store = await open();
    const key = instanceKey(who('late'));
    const change = creation(who('late'));
    server.signal('SIGSTOP');
    await expect(store.pins.change(key, change)).rejects.toMatchObject({ outcome: 'unknown' });
    server.signal('SIGCONT');
    const result = await untilAnswered(() => store.pins.change(key, change));
    expect(result).toMatchObject({ applied: true, pin: { opId: change.opId } });
    expect(await store.pins.get(key)).toEqual(result.pin);
    await store.close();
  });

  test('a server that is gone is unavailable, and one that came back empty is used again, scripts included', async () => {
    const store = await open();
    const key = instanceKey(who('restart'));
    expect((await store.pins.change(key, creation(who('restart')))).applied).toBe(true);
    await server.stop();
    await expect(store.pins.get(key)).rejects.toMatchObject({ code: 'Unavailable' });
    await expect(store.pins.get(key)).rejects.toMatchObject({ code: 'Unavailable', outcome: 'not-run' });
    await server.start();
    const result = await untilAnswered(() => store.pins.change(key, creation(who('restart'))));
    expect(result.applied).toBe(true);
    await store.close();
  });

  test('a user without the rights, a wrong password and a missing one are told apart', async () => {
    const admin = new Redis(server.url);
    await admin.call('ACL', 'SETUSER', 'narrow', 'on', '>secret', '~other:*', '+@all');
    const address = server.url.replace('redis://', '');
    const store = await open(`redis://narrow:secret@${address}`);
    const denied = await store.pins.get(instanceKey(who('x'))).catch((e: unknown) => e);
    expect(denied).toMatchObject({ code: 'Unavailable', outcome: 'not-run', retryable: false });
    expect(String(denied)).toMatch(/ACL does not let this user/);
    const inScript = await store.pins.change(instanceKey(who('x')), creation(who('x'))).catch((e: unknown) => e);
    expect(String(inScript)).toMatch(/ACL does not let this user/);
    await store.close();
    await admin.call('ACL', 'SETUSER', 'reader', 'on', '>secret', '~hf:*', '+@all', '-set');
    const reader = await open(`redis://reader:secret@${address}`);
    const halfway = await reader.pins.change(instanceKey(who('x')), creation(who('x'))).catch((e: unknown) => e);
    expect(halfway).toMatchObject({ code: 'Unavailable', outcome: 'unknown', retryable: false });
    expect(String(halfway)).toMatch(/ACL does not let this user/);
    await reader.close();
    const wrong = await open(`redis://narrow:wrong@${address}`).catch((e: unknown) => e);
    expect(wrong).toMatchObject({ code: 'Unavailable', retryable: false });
    expect(String(wrong)).toMatch(/does not know this user and password/);
    await admin.config('SET', 'requirepass', 'secret');
    const missing = await open().catch((e: unknown) => e);
    expect(String(missing)).toMatch(/asks for a password/);
    await admin.call('CONFIG', 'SET', 'requirepass', '');
    admin.disconnect();
  });

  test('a change that cannot be made harms none of those that are made with it', async () => {
    const store = await open();
    const admin = new Redis(server.url);
    const keys = ['before', 'odd', 'strange', 'after'].map((id) => [id, instanceKey(who(id))] as const);
    await admin.lpush(`hf:pin:{${instanceKey(who('odd'))}}`, 'x');
    await admin.set(`hf:pin:{${instanceKey(who('strange'))}}`, 'not a pin');
    await admin.config('RESETSTAT');
    const changes = await Promise.allSettled(keys.map(([id, key]) => store.pins.change(key, creation(who(id)))));
    expect(changes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected', 'fulfilled']);
    for (const id of ['before', 'after'])
      expect(await store.pins.get(instanceKey(who(id)))).toMatchObject({ state: 'placing' });
    expect(await admin.info('commandstats')).toMatch(/cmdstat_evalsha:calls=1,/);
    admin.disconnect();
    await store.close();
  });

  test('a key of another program, of another type, is named as such', async () => {
    const store = await open();
    const admin = new Redis(server.url);
    const key = instanceKey(who('foreign'));
    await admin.lpush(`hf:pin:{${key}}`, 'x');
    for (const operation of [store.pins.get(key), store.pins.change(key, creation(who('foreign')))])
      await expect(operation).rejects.toMatchObject({
        code: 'Internal',
        message: expect.stringContaining('another type'),
      });
    await admin.set(`hf:pin:{${key}}`, 'not a pin');
    await expect(store.pins.get(key)).rejects.toMatchObject({ code: 'Internal' });
    await expect(store.pins.change(key, creation(who('foreign')))).rejects.toMatchObject({ code: 'Internal' });
    admin.disconnect();
    await store.close();
  });

  test('a replica refuses changes and says what it is', async () => {
    const store = await open();
    const admin = new Redis(server.url);
    await admin.call('REPLICAOF', '127.0.0.1', await freePort());
    const error = await store.pins
      .change(instanceKey(who('replica')), creation(who('replica')))
      .catch((e: unknown) => e);
    expect(error).toMatchObject({ code: 'Unavailable', outcome: 'not-run', retryable: true });
    expect(String(error)).toContain('it is a replica');
    await admin.call('REPLICAOF', 'NO', 'ONE');
    const result = await untilAnswered(() => store.pins.change(instanceKey(who('replica')), creation(who('replica'))));
    expect(result.applied).toBe(true);
    admin.disconnect();
    await store.close();
  });

  test('a server whose memory is full refuses changes and says so', async () => {
    const store = await open();
    const admin = new Redis(server.url);
    await admin.config('SET', 'maxmemory', '1');
    const error = await store.pins.change(instanceKey(who('full')), creation(who('full'))).catch((e: unknown) => e);
    expect(error).toMatchObject({ code: 'Unavailable', outcome: 'not-run', retryable: true });
    expect(String(error)).toContain('memory is full');
    await admin.config('SET', 'maxmemory', '0');
    admin.disconnect();
    await store.close();
  });
});
