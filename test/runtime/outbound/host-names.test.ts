import { expect, test } from 'vitest';
import { systemClock } from '../../../src/adapters/system/clock.js';
import { HostNames, parseHosts } from '../../../src/runtime/outbound/host-names.js';

test('a name of the hosts file has its address, and one that nobody knows is an error', async () => {
  const names = new HostNames(systemClock);
  expect(await names.addresses('localhost')).toContain('127.0.0.1');
  await expect(names.addresses('no-such-name.invalid')).rejects.toThrow();
});

test('a hosts file has comments, several names in a line, and names with several addresses', () => {
  const hosts = parseHosts(
    '127.0.0.1 localhost\n# 9.9.9.9 no\n10.0.0.1\tDB db.example.org # the first\n10.0.0.2 db\n\n',
  );
  expect([...hosts]).toEqual([
    ['localhost', ['127.0.0.1']],
    ['db', ['10.0.0.1', '10.0.0.2']],
    ['db.example.org', ['10.0.0.1']],
  ]);
});
