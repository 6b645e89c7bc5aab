import { expect } from 'vitest';
import { systemClock } from '../../../src/adapters/system/clock.js';
import { guestProgramPath } from '../../../src/cli/parts/guest-program.js';
import type { Guest } from '../../../src/common/ports/guest.js';
import { openGuestNetwork } from '../../../src/runtime/outbound/guest-network.js';
import { OutboundProxies } from '../../../src/runtime/outbound/outbound-proxy.js';
import { RefusedAddresses } from '../../../src/runtime/outbound/refused-addresses.js';
import { openGuest } from '../../../src/runtime/sandbox/guest/guest-client.js';
import { canIsolate, isolatedTest } from '../../isolated-test.js';
import { environment, openBench } from '../isolation/harness.js';
import { wheel } from '../sandbox/start-guest.js';
import { ports, startNeighbour } from './neighbour.js';

const bench = await openBench();
const neighbour = canIsolate ? await startNeighbour() : { address: '', own: '' };
const proxies = new OutboundProxies({
  clock: systemClock,
  refused: new RefusedAddresses(systemClock, () => []),
  resolve: async (name) => (name === 'allowed.test' ? [neighbour.address] : []),
});
/** Speaks to the proxy that its environment names, as curl does. */
const fetcher = `
  use IO::Socket::INET; $ENV{http_proxy} =~ m{^http://([^/]+)$} or die "no proxy";
  my $s = IO::Socket::INET->new($1) or die "$!";
  print $s "GET $ARGV[0] HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n"; my $line = <$s>; $line =~ m{ (\\d+) } and print $1;`;

async function startSandbox(): Promise<Guest> {
  const agent = '/run/holdfast-guest';
  const started = await bench.start([agent], {
    isPid1: true,
    binds: [{ source: guestProgramPath(), target: agent }],
  });
  return await openGuest(started.socket, wheel);
}

async function statusOf(guest: Guest, variables: Readonly<Record<string, string>>, url: string): Promise<string> {
  let said = '';
  const command = { argv: ['perl', '-e', fetcher, url], cwd: '/', env: { ...environment, ...variables } };
  const run = await guest.spawn(command, (_stream, bytes) => {
    said += Buffer.from(bytes).toString();
  });
  await run.exited;
  return said;
}

isolatedTest('programs of a sandbox reach what its policy allows through the proxy of their environment', async () => {
  const guest = await startSandbox();
  const variables = await openGuestNetwork(guest, ['allowed.test'], proxies);
  expect(await statusOf(guest, variables, `http://allowed.test:${ports.http}/`)).toBe('200');
  expect(await statusOf(guest, variables, `http://${neighbour.address}:${ports.http}/`)).toBe('403');
  guest.close();
});

isolatedTest('a sandbox without a way out is told of none', async () => {
  const guest = await startSandbox();
  const variables = await openGuestNetwork(guest, 'none', proxies);
  expect(variables).toEqual({});
  expect(await statusOf(guest, variables, `http://${neighbour.address}:${ports.http}/`)).toContain('no proxy');
  guest.close();
});
