import { describe, expect, test } from 'vitest';
import { parseRedisUrl } from '../../src/adapters/redis/url.js';

describe('the url of a Redis', () => {
  test('names one server, with port 6379 and database 0 where it says nothing else', () => {
    expect(parseRedisUrl('redis://localhost')).toEqual({
      kind: 'single',
      nodes: [{ host: 'localhost', port: 6379 }],
      tls: false,
      username: null,
      password: null,
      sentinelPassword: null,
      db: 0,
      masterName: '',
      shown: 'redis://localhost',
    });
    expect(parseRedisUrl('rediss://me:p%40ss%3Aword@[::1]:7000/3')).toMatchObject({
      nodes: [{ host: '::1', port: 7000 }],
      tls: true,
      username: 'me',
      password: 'p@ss:word',
      db: 3,
      shown: 'rediss://[::1]:7000/3',
    });
    expect(parseRedisUrl('redis://:secret@h')).toMatchObject({ username: null, password: 'secret' });
  });

  test('names the nodes of a cluster, or Sentinels and their master', () => {
    expect(parseRedisUrl('redis+cluster://:s@a:1,b:2,c')).toMatchObject({
      kind: 'cluster',
      password: 's',
      nodes: [
        { host: 'a', port: 1 },
        { host: 'b', port: 2 },
        { host: 'c', port: 6379 },
      ],
    });
    expect(parseRedisUrl('rediss+sentinel://u:s@a,b:2/main/4?sentinelPassword=other')).toMatchObject({
      kind: 'sentinel',
      tls: true,
      nodes: [
        { host: 'a', port: 26379 },
        { host: 'b', port: 2 },
      ],
      masterName: 'main',
      db: 4,
      username: 'u',
      sentinelPassword: 'other',
      shown: 'rediss+sentinel://a,b:2/main/4',
    });
  });

  test('that cannot be read is refused with what was expected and without its secrets', () => {
    const wrong = [
      'http://u:hidden@h',
      'redis://',
      'redis://u:hidden@a,b',
      'redis://u:hidden@a:b:c',
      'redis+sentinel://u:hidden@a',
      'redis+cluster://u:hidden@a/1',
      'redis://u:hidden@h/first',
      'redis+other://u:hidden@h',
    ];
    for (const url of wrong) {
      const refusal = { code: 'InvalidArgument', message: expect.stringMatching(/expected redis:\/\//) };
      expect(() => parseRedisUrl(url), url).toThrow(expect.objectContaining(refusal));
      expect(() => parseRedisUrl(url), url).not.toThrow(/hidden/);
    }
  });
});
