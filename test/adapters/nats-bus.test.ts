import { describe, expect, test } from 'vitest';
import { createNatsBus } from '../../src/adapters/nats/nats-bus.js';
import { parseNatsUrl } from '../../src/adapters/nats/url.js';
import { systemClock } from '../../src/adapters/system/clock.js';
import { describeBus } from '../contracts/bus-contract.js';
import { freePort, startNats } from '../servers.js';

const settings = { name: 'test', clock: systemClock };

describeBus('a bus on NATS', async () => {
  const server = await startNats();
  const errors: unknown[] = [];
  return {
    connect: () => createNatsBus({ ...settings, url: server.url, onError: (error) => errors.push(error) }),
    cut: () => server.stop(),
    restore: () => server.start(),
    errors,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
});

describe('the connection to NATS', () => {
  test('a bus on a port where nobody listens says which url and what to do, without the password', async () => {
    const port = await freePort();
    const url = `nats://user:secret@127.0.0.1:${port}`;
    const error = await createNatsBus({ ...settings, url }).catch((e: unknown) => e);
    expect(error).toMatchObject({ code: 'Unavailable', outcome: 'not-run', retryable: true });
    expect(String(error)).toMatch(new RegExp(`NATS at nats://127\\.0\\.0\\.1:${port} cannot be reached .*start it`));
    expect(String(error)).not.toContain('secret');
  });

  test('user and password, or a token, of the url are those that the server asks for', async () => {
    await using server = await startNats({ arguments: ['--user', 'me', '--pass', 'p@ss:word'] });
    const address = server.url.replace('nats://', '');
    const bus = await createNatsBus({ ...settings, url: `nats://me:${encodeURIComponent('p@ss:word')}@${address}` });
    expect(bus.isConnected).toBe(true);
    await bus.close();
    await expect(createNatsBus({ ...settings, url: `nats://me:wrong@${address}` })).rejects.toMatchObject({
      code: 'Unavailable',
      message: expect.stringMatching(/credentials/),
    });
    await using withToken = await startNats({ arguments: ['--auth', 'tok'] });
    const other = await createNatsBus({ ...settings, url: withToken.url.replace('nats://', 'nats://tok@') });
    expect(other.isConnected).toBe(true);
    await other.close();
  });

  test('a bus that is closed while its server is stopped ends all the same', async () => {
    await using server = await startNats();
    const bus = await createNatsBus({ ...settings, url: server.url });
    server.signal('SIGSTOP');
    bus.publish('s', new Uint8Array(10));
    await bus.close();
    expect(bus.isConnected).toBe(false);
    server.signal('SIGCONT');
  });

  test('several servers and TLS are read from the url, and nonsense is refused without its secrets', () => {
    expect(parseNatsUrl('tls://a:1,b:2')).toEqual({ shown: 'tls://a:1,b:2', servers: ['a:1', 'b:2'], tls: {} });
    expect(parseNatsUrl('nats://u:p@h:4222/')).toEqual({
      shown: 'nats://h:4222',
      servers: ['h:4222'],
      user: 'u',
      pass: 'p',
    });
    for (const url of ['redis://h', 'nats://', 'nats://u:hidden@', 'h:4222'])
      expect(() => parseNatsUrl(url)).toThrow(
        expect.objectContaining({ message: expect.not.stringContaining('hidden') }),
      );
  });
});
