import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { text } from 'node:stream/consumers';
import { App, Client, type SandboxSession, type SandboxStreamEvent } from 'holdfast';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { isolatedTest as test } from '../../isolated-test.js';
import { codeOf, collect, exitOf, fileIn, type SandboxApp, sandboxWorld, textOf, until } from './sandbox-world.js';

const world = sandboxWorld();
let session: SandboxSession;

beforeAll(async () => {
  session = await world.app.shell.create({ cwd: '/job' });
});

afterAll(async () => {
  await session?.close({ force: true });
});

/** Events up to the one in which all text so far fits. */
async function readUntil(events: AsyncIterator<SandboxStreamEvent>, fits: RegExp): Promise<string> {
  let said = '';
  while (!fits.test(said)) {
    const step = await events.next();
    if (step.done) throw new Error(`it ended before ${fits}: ${said}`);
    said += textOf([step.value]);
  }
  return said;
}

describe('a process', () => {
  test('goes on when its client is gone, and another one reads it on from any offset', async () => {
    const { cluster } = world;
    const first = new Client({ endpoint: cluster.endpoint, token: cluster.token });
    const app = await App.lookup<SandboxApp>('sandboxes', { client: first });
    const there = await app.shell.attach(session.handle);
    const started = await there.spawn(
      'for i in 1 2 3 4; do echo line $i; [ $i = 2 ] && touch /tmp/two; while [ $i = 3 ] && [ ! -e /tmp/go ]; do sleep 0.01; done; done; exit 7',
      { shell: true },
    );
    await fileIn(session, '/tmp/two');
    await first.close();
    const child = await session.process(started.pid);
    const events = child.output()[Symbol.asyncIterator]();
    expect(await readUntil(events, /line 3\n/)).toBe('line 1\nline 2\nline 3\n');
    await events.return?.();
    await session.writeText('/tmp/go', '');
    const rest = await collect(child.output({ fromOffset: 'line 1\nli'.length }));
    expect(textOf(rest)).toBe('ne 2\nline 3\nline 4\n');
    expect(rest[1]).toMatchObject({ offset: 9 });
    expect(exitOf(rest)).toMatchObject({ exitCode: 7 });
    expect(await child.wait()).toMatchObject({
      stdout: 'line 1\nline 2\nline 3\nline 4\n',
      exitCode: 7,
      truncated: false,
    });
    expect((await child.wait()).command.slice(0, 2)).toEqual(['/bin/sh', '-c']);
    expect(textOf(await collect(child.output({ fromOffset: 1_000 })))).toBe('');
  });

  test('keeps its last output where there is too much of it', async () => {
    const child = await session.spawn('seq 1 20000', { maxOutputBytes: 20_000 });
    const result = await child.wait();
    expect(result.truncated).toBe(true);
    expect(result.stdout.endsWith('19999\n20000\n')).toBe(true);
    const events = await collect(child.output());
    const [, first] = events;
    expect(first?.type === 'stdout' ? first.offset : 0).toBeGreaterThan(50_000);
  });

  test('is written to, and told that no more will come', async () => {
    const child = await session.spawn('while read line; do echo "<$line>"; done; echo end', {
      shell: true,
      stdin: 'first\n',
    });
    expect(await child.wait()).toMatchObject({ stdout: '<first>\nend\n' });
    const open = await session.spawn('cat', {
      stdin: (async function* () {
        await new Promise(() => undefined);
      })(),
    });
    const events = open.output()[Symbol.asyncIterator]();
    await open.write('one\n');
    await readUntil(events, /one\n/);
    await open.write(Buffer.from('two\n'));
    await readUntil(events, /two\n/);
    await open.closeStdin();
    expect(await open.wait()).toMatchObject({ stdout: 'one\ntwo\n', exitCode: 0 });
    expect(await codeOf(open.write('late'))).toBe('NotFound');
    await open.closeStdin();
  });

  test('gets signals, with its whole group', async () => {
    const line = 'trap "echo got; exit 3" USR1; touch /tmp/armed; while :; do sleep 0.02; done';
    const child = await session.spawn(line, { shell: true });
    await fileIn(session, '/tmp/armed');
    await child.kill('SIGUSR1');
    expect(await child.wait()).toMatchObject({ stdout: 'got\n', exitCode: 3 });
    await child.kill('SIGKILL');
    const group = await session.spawn('sleep 55 & sleep 55', { shell: true });
    await group.kill();
    expect(await group.wait()).toMatchObject({ signal: 'SIGTERM' });
    expect((await session.exec(['ps', 'ax'])).stdout).not.toContain('sleep 55');
    expect(await codeOf(group.kill('SIGNOPE' as NodeJS.Signals))).toBe('InvalidArgument');
  });

  test('has a terminal of a size where it wants one', async () => {
    const line =
      'stty size; trap "stty size" WINCH; touch /tmp/tty; while :; do read -r line && echo "you said $line"; done';
    const child = await session.spawn(line, { shell: true, pty: { cols: 80, rows: 24 } });
    const events = child.output()[Symbol.asyncIterator]();
    await readUntil(events, /24 80\r\n/);
    await fileIn(session, '/tmp/tty');
    await child.resize(132, 43);
    await child.write('hello\n');
    await child.write('again\n');
    const said = await readUntil(events, /43 132[\s\S]*you said again\r\n|you said again\r\n[\s\S]*43 132/);
    expect(said).toContain('you said hello\r\n');
    await child.kill('SIGKILL');
    expect(exitOf(await collect({ [Symbol.asyncIterator]: () => events }))).toMatchObject({ signal: 'SIGKILL' });
  });

  test('takes Ctrl-C from its terminal', async () => {
    const child = await session.spawn('touch /tmp/typing; sleep 100', { shell: true, pty: { cols: 80, rows: 24 } });
    await fileIn(session, '/tmp/typing');
    await child.write('\u0003');
    expect(await child.wait()).toMatchObject({ signal: 'SIGINT' });
  });

  test('that is not there is not found', async () => {
    expect(await codeOf(session.process(99_999))).toBe('NotFound');
    expect(await codeOf(session.process(-1))).toBe('InvalidArgument');
    const ran = await session.exec('true');
    expect(await codeOf(session.process(ran.pid))).toBe('NotFound');
  });

  test('ends with its session, and whoever waits for it is told', async () => {
    const other = await world.app.shell.create();
    const child = await other.spawn(['sleep', '100']);
    const waiting = codeOf(child.wait());
    const reading = codeOf(collect(child.output()));
    await until(async () => (await other.inspect()).running >= 2);
    await other.close({ force: true });
    expect(await waiting).toBe('InstanceClosed');
    expect(await reading).toBe('InstanceClosed');
  });
});

describe('a port that is forwarded', () => {
  /** Sends everything back, then says that it is done; a process for each connection. */
  const echo = `
    use IO::Socket::INET;
    $SIG{CHLD} = 'IGNORE';
    my $server = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $ARGV[0], Listen => 50) or die;
    open(my $file, '>', '/tmp/listening'); close($file);
    while (my $client = $server->accept()) {
      next if fork();
      while (sysread($client, my $piece, 65536)) { print $client $piece; $client->flush(); }
      print $client '<end>';
      exit(0);
    }
  `;

  test('reaches a server inside, many times at once, with all that is sent', async () => {
    await session.writeText('echo.pl', echo);
    const server = await session.spawn(['perl', 'echo.pl', '4000']);
    await fileIn(session, '/tmp/listening');
    const forwarding = await session.forward(4_000);
    const talk = async (said: string): Promise<string> => {
      const socket = connect({ port: forwarding.localPort, host: '127.0.0.1', allowHalfOpen: true });
      socket.end(said);
      return await text(socket);
    };
    const words = Array.from({ length: 20 }, (_, at) => `${at}:${'x'.repeat(at * 20_000)}`);
    expect(await Promise.all(words.map(talk))).toEqual(words.map((word) => `${word}<end>`));
    await forwarding.close();
    const refused = connect(forwarding.localPort, '127.0.0.1');
    const [error] = await once(refused, 'error');
    expect((error as NodeJS.ErrnoException).code).toBe('ECONNREFUSED');
    await server.kill('SIGKILL');
  });

  test('that nobody listens on breaks the connection, and nothing else', async () => {
    const forwarding = await session.forward(4_999);
    const socket = connect(forwarding.localPort, '127.0.0.1');
    socket.on('error', () => undefined);
    await once(socket, 'close');
    await forwarding.close();
    expect(await session.pwd()).toBe('/job');
  });

  test('is open here for as long as its session is', async () => {
    const other = await session.sandbox.create();
    const [kept, closed] = [await other.forward(4_000), await other.forward(4_000)];
    await closed.close();
    await other.close();
    const refused = connect(kept.localPort, '127.0.0.1');
    const [error] = await once(refused, 'error');
    expect((error as NodeJS.ErrnoException).code).toBe('ECONNREFUSED');
    await kept.close();
  });

  test('can be asked for by its local number, once', async () => {
    const taken = createServer();
    taken.listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as { port: number };
    expect(await codeOf(session.forward(80, { localPort: port }))).toBe('Unavailable');
    taken.close();
    expect(await codeOf(session.forward(0))).toBe('InvalidArgument');
  });
});
