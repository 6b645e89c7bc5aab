import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TimeLimit } from '../../src/cli/commands/time-limit.js';
import { ManualClock } from '../manual-clock.js';
import { Home } from './holdfast.js';

const home = new Home();
/** Takes connections and says nothing. */
const silent = createServer();
const sockets = new Set<Socket>();
let to: readonly string[];

beforeAll(async () => {
  silent.on('connection', (socket) => sockets.add(socket)).listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const { port } = silent.address() as AddressInfo;
  to = ['--endpoint', `127.0.0.1:${port}`, '--token', 'hft.default.a.b'];
});

afterAll(async () => {
  for (const socket of sockets) socket.destroy();
  silent.close();
  await home[Symbol.asyncDispose]();
});

const never = new Promise<never>(() => undefined);
const waiting = { what: 'the tide', outcome: 'unknown' } as const;

describe('the time of a command', () => {
  it('is one for all its steps, and its end says what was waited for', async () => {
    const clock = new ManualClock();
    const limit = new TimeLimit(100, { clock, signal: new AbortController().signal });
    expect(await limit.during(waiting, Promise.resolve('in time'))).toBe('in time');
    clock.advance(60);
    expect(limit.left(waiting)).toEqual({ timeoutMs: 40 });
    const late = expect(limit.during(waiting, never)).rejects.toMatchObject({
      code: 'DeadlineExceeded',
      outcome: 'unknown',
      message: 'the --timeout of 100 ms was over while waiting for the tide',
    });
    clock.advance(40);
    await late;
    expect(() => limit.left(waiting)).toThrow('while waiting for the tide');
  });

  it('has no end where none was given, but Ctrl-C', async () => {
    const stop = new AbortController();
    const limit = new TimeLimit(undefined, { clock: new ManualClock(), signal: stop.signal });
    expect(limit.left(waiting)).toEqual({});
    const stopped = expect(limit.during(waiting, never)).rejects.toMatchObject({ code: 'Cancelled' });
    stop.abort();
    await stopped;
  });

  it.each([
    ['router at .* to tell of shop/Counter', ['call', 'shop/Counter', 'one', 'add']],
    ['router at .* to tell of shop/Counter', ['handle', 'shop/Counter', 'one']],
    ['shop/Counter/one to close', ['close', 'shop/Counter', 'one']],
  ] as const)('bounds what is asked of a router that is silent: %s', async (what, command) => {
    const { exitCode, stderr } = await home.run([...command, ...to, '--timeout', '300']);
    expect(stderr).toMatch(new RegExp(`^error DeadlineExceeded: the --timeout of 300 ms was over .*${what}`));
    expect(exitCode).toBe(5);
  });

  it('bounds the reading of a handle too', async () => {
    const attach = home.start(['attach', '-', 'add', ...to, '--timeout', '300']);
    await attach.line(/^error DeadlineExceeded: .*the handle to be read/);
    expect(await attach.ended).toBe(5);
  });
});
