import { describe, expect, it } from 'vitest';
import { parseJsonArguments } from '../../src/cli/commands/json-arguments.js';
import { keyValue, positiveNumber } from '../../src/cli/commands/options.js';
import { parseClassReference, parseScope } from '../../src/cli/commands/references.js';
import { checkAddress, checkServer, type ServerOptions } from '../../src/cli/commands/server-options.js';
import { isHoldfastError } from '../../src/common/errors.js';

function messageOf(work: () => unknown): string {
  try {
    work();
  } catch (e) {
    if (isHoldfastError(e, 'InvalidArgument')) return e.message;
    throw e;
  }
  throw new Error('it was accepted');
}

describe('arguments of a call', () => {
  it('are a JSON array, and none when they are not given', () => {
    expect(parseJsonArguments('["x", 2, {"a": null}]', 'JSON-ARGS')).toEqual(['x', 2, { a: null }]);
    expect(parseJsonArguments('[]', 'JSON-ARGS')).toEqual([]);
    expect(parseJsonArguments(undefined, 'JSON-ARGS')).toEqual([]);
  });

  it('that are one JSON value are refused with the array to write', () => {
    expect(messageOf(() => parseJsonArguments('5', 'JSON-ARGS'))).toContain("got 5: write '[5]'");
    expect(messageOf(() => parseJsonArguments('{"a":1}', '--init'))).toContain(`--init must be a JSON array`);
  });

  it('that are bare text are refused with the array to write, quoted for the shell', () => {
    expect(messageOf(() => parseJsonArguments('Ada', 'JSON-ARGS'))).toContain(`'["Ada"]'`);
    expect(messageOf(() => parseJsonArguments("it's", 'JSON-ARGS'))).toContain(`'["it'\\''s"]'`);
  });

  it('that begin as an array and are not JSON say why', () => {
    expect(messageOf(() => parseJsonArguments('[Ada]', 'JSON-ARGS'))).toMatch(/is not JSON \(.+\): write a JSON array/);
  });
});

describe('references', () => {
  it('name an app and a class', () => {
    expect(parseClassReference('demo/Counter')).toEqual({ app: 'demo', className: 'Counter' });
    for (const wrong of ['demo', 'demo/', '/Counter', 'demo/Counter/one', '']) {
      expect(messageOf(() => parseClassReference(wrong))).toContain('APP/CLASS');
    }
  });

  it('of logs may be as wide as everything and as narrow as one id with slashes in it', () => {
    expect(parseScope(undefined)).toEqual({ app: '', className: '', id: '' });
    expect(parseScope('demo')).toEqual({ app: 'demo', className: '', id: '' });
    expect(parseScope('demo/Counter/a/b')).toEqual({ app: 'demo', className: 'Counter', id: 'a/b' });
    expect(messageOf(() => parseScope('/Counter'))).toContain('APP/CLASS/ID');
    expect(messageOf(() => parseScope('demo/'))).toContain('APP/CLASS/ID');
  });
});

describe('options', () => {
  it('that repeat gather their pairs, and values may contain an equals sign', () => {
    expect(keyValue('b=x=y', keyValue('a=1'))).toEqual({ a: '1', b: 'x=y' });
    expect(() => keyValue('novalue')).toThrow('KEY=VALUE');
  });

  it('that count take whole positive numbers only', () => {
    expect(positiveNumber('12')).toBe(12);
    for (const wrong of ['0', '-1', '1.5', 'x', '', '1e3']) expect(() => positiveNumber(wrong)).toThrow('whole number');
  });
});

describe('a server', () => {
  const options: ServerOptions = {
    listen: '127.0.0.1:7070',
    account: 'default',
    nats: 'nats://127.0.0.1:4222',
    redis: 'redis://127.0.0.1:6379',
    leaseTtl: 15_000,
  };

  it('takes its urls from options first and then from the environment', () => {
    const { nats: _nats, redis: _redis, ...bare } = options;
    const env = { HOLDFAST_NATS_URL: 'nats://n', HOLDFAST_REDIS_URL: 'redis://r', HOLDFAST_OBJECT_STORE: '/objects' };
    expect(checkServer(bare, env)).toMatchObject({
      natsUrl: 'nats://n',
      redisUrl: 'redis://r',
      objectStore: '/objects',
    });
    expect(checkServer(options, env)).toMatchObject({ natsUrl: options.nats, redisUrl: options.redis });
    expect(messageOf(() => checkServer(bare, {}))).toContain('HOLDFAST_NATS_URL');
  });

  it('listens without TLS on loopback only, unless it is told to', () => {
    for (const listen of ['127.0.0.1:0', '127.9.9.9:1', 'localhost:7070', '[::1]:7070']) {
      expect(checkServer({ ...options, listen }, {}).listen).toBe(listen);
    }
    for (const listen of ['0.0.0.0:7070', '[::]:7070', '10.0.0.1:7070', 'router.example:7070']) {
      expect(messageOf(() => checkServer({ ...options, listen }, {}))).toContain('--allow-plain');
      expect(checkServer({ ...options, listen, allowPlain: true }, {}).listen).toBe(listen);
    }
  });

  it('needs both halves of TLS, as files that are there', () => {
    expect(messageOf(() => checkServer({ ...options, tlsCert: 'a.pem' }, {}))).toContain('--tls-key');
    const missing = { ...options, tlsCert: 'no-such.pem', tlsKey: 'no-such.key' };
    expect(messageOf(() => checkServer(missing, {}))).toContain('no-such.pem');
  });

  it('listens on host:port', () => {
    for (const wrong of ['7070', 'host', 'host:', ':7070', 'host:99999', 'a b:1', '::1:7070']) {
      expect(messageOf(() => checkAddress('--listen', wrong))).toContain('host:port');
    }
  });
});
