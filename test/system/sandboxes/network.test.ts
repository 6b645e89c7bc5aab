import type { SandboxSession } from 'holdfast';
import { afterAll, describe, expect } from 'vitest';
import { canIsolate, isolatedTest as test } from '../../isolated-test.js';
import { ports, startNeighbour } from '../../runtime/outbound/neighbour.js';
import { sandboxWorld, until } from './sandbox-world.js';

const neighbour = canIsolate ? await startNeighbour() : { address: '', own: '' };
const world = sandboxWorld();
const sessions: SandboxSession[] = [];

afterAll(async () => {
  for (const session of sessions) await session.close({ force: true });
});

async function sessionWith(outbound: 'none' | 'all' | readonly string[], more = {}): Promise<SandboxSession> {
  const session = await world.app.shell.create({ network: { outbound }, ...more });
  sessions.push(session);
  return session;
}

/** The exit code of a program inside that wants to reach a URL: 0 where it could. */
async function fetches(session: SandboxSession, url: string): Promise<boolean> {
  const { exitCode } = await session.exec(['curl', '-sf', '-m', '10', '-o', '/dev/null', url]);
  return exitCode === 0;
}

describe('the network of a session', () => {
  const there = `http://${neighbour.address}:${ports.http}/`;

  test('is none unless it was asked for', async () => {
    const session = await sessionWith('none');
    expect(await fetches(session, there)).toBe(false);
    expect(Object.keys(await session.getEnv())).not.toContain('http_proxy');
    const interfaces = await session.exec('cat /proc/net/dev');
    expect(
      interfaces.stdout
        .split('\n')
        .slice(2)
        .filter((line) => line.trim() !== ''),
    ).toHaveLength(1);
  });

  test('reaches everything outside where it may, and never the host, the cluster or another session', async () => {
    const session = await sessionWith('all');
    expect(await fetches(session, there)).toBe(true);
    expect(await session.getEnv()).toMatchObject({ HTTP_PROXY: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/) });
    const router = world.cluster.endpoint;
    for (const url of [`http://${router}/`, `http://${neighbour.own}:22/`, 'http://169.254.169.254/latest/']) {
      const { stdout } = await session.exec([
        'curl',
        '-s',
        '-m',
        '10',
        '-x',
        '$',
        '-o',
        '/dev/null',
        '-w',
        '%{http_code}',
        url,
      ]);
      expect(stdout).toBe('000');
      expect(await fetches(session, url)).toBe(false);
    }
    const other = await sessionWith('all');
    await other.spawn([
      'perl',
      '-MIO::Socket::INET',
      '-e',
      'IO::Socket::INET->new(LocalPort => 5000, Listen => 1)->accept()',
    ]);
    expect(await fetches(session, 'http://127.0.0.1:5000/')).toBe(false);
  });

  test('reaches what is listed and nothing else, also after it has slept', async () => {
    const session = await sessionWith([`${neighbour.address}/32`], { idleTimeoutMs: 100 });
    expect(await fetches(session, there)).toBe(true);
    expect(await fetches(session, 'http://10.99.99.99/')).toBe(false);
    await until(async () => (await session.inspect()).state === 'idle');
    expect(await fetches(session, there)).toBe(true);
    const elsewhere = await sessionWith(['example.org']);
    expect(await fetches(elsewhere, there)).toBe(false);
  });
});
