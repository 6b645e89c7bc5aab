import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, expect } from 'vitest';
import { isolatedTest as test } from '../../isolated-test.js';
import { environment, run, type StartedGuest, startGuest } from './start-guest.js';

let started: StartedGuest;
beforeEach(async () => {
  started = await startGuest();
});
afterEach(() => started[Symbol.asyncDispose]());

/** A program of Node inside, once it has printed a line: its port. */
async function serve(script: string): Promise<number> {
  let printed: (line: string) => void = () => undefined;
  const line = new Promise<string>((resolve) => {
    printed = resolve;
  });
  const argv = [process.execPath, '-e', script];
  await started.guest.spawn({ argv, cwd: '/', env: environment }, (_, bytes) => printed(Buffer.from(bytes).toString()));
  return Number(await line);
}

const echoServer = (host: string) =>
  `const s = require('net').createServer({ allowHalfOpen: true }, (c) => c.pipe(c)).listen(0, '${host}', () => console.log(s.address().port))`;

test.each(['127.0.0.1', '::1'])('a port on %s is reached, and both ends close on their own', async (host) => {
  const connection = await started.guest.connect(await serve(echoServer(host)));
  const echoed = text(connection);
  const bytes = 'over and over; '.repeat(200_000);
  connection.end(bytes);
  expect(await echoed).toBe(bytes);
  await closed(connection);
});

test('a connection that is not read stops its sender, one that is destroyed ends it', async () => {
  const port = await serve(
    `const s = require('net').createServer((c) => {
       c.on('error', () => {});
       c.on('close', () => require('fs').writeFileSync('/tmp/sent', String(c.bytesWritten)));
       const more = () => { while (c.write(Buffer.alloc(65536))); c.once('drain', more); };
       more();
     }).listen(0, '127.0.0.1', () => console.log(s.address().port))`,
  );
  const connection = await started.guest.connect(port);
  await once(connection, 'readable');
  connection.destroy();
  await started.guest.watch('/tmp').then(async (changes) => {
    const isThere = () =>
      started.guest.stat('/tmp/sent').then(
        ({ size }) => size > 0,
        () => false,
      );
    while (!(await isThere())) await changes.next();
  });
  const sent = Number(
    await started.guest.readFile('/tmp/sent', { maxBytes: 100 }).then((bytes) => Buffer.from(bytes).toString()),
  );
  expect(sent).toBeLessThan(20_000_000);
});

test('a port where nobody listens is refused, and so is no port', async () => {
  await expect(started.guest.connect(9)).rejects.toMatchObject({ code: 'Unavailable' });
  for (const port of [0, -1, 65_536, 1.5]) {
    await expect(started.guest.connect(port)).rejects.toMatchObject({ code: 'InvalidArgument' });
  }
});

test('programs inside reach a port that is listened on, many at once, until it is closed', async () => {
  const listener = await started.guest.listen(0, (connection) => {
    let said = '';
    connection.on('data', (bytes: Buffer) => {
      said += bytes.toString();
    });
    connection.on('end', () => connection.end(said.toUpperCase()));
  });
  const script = `
    const text = require('stream/consumers').text;
    Promise.all(Array.from({ length: 50 }, (_, i) => {
      const c = require('net').connect({ port: ${listener.port}, host: '127.0.0.1', allowHalfOpen: true });
      c.end('hello ' + i);
      return text(c);
    })).then((all) => console.log(all.join()));`;
  const { stdout } = await run(started.guest, [process.execPath, '-e', script]);
  expect(stdout.trim()).toBe(Array.from({ length: 50 }, (_, i) => `HELLO ${i}`).join());
  await expect(started.guest.listen(listener.port, () => undefined)).rejects.toMatchObject({ code: 'AlreadyExists' });
  listener.close();
  await expect(started.guest.connect(listener.port)).rejects.toMatchObject({ code: 'Unavailable' });
});

test('what comes through a listener goes out by connect, megabytes of it, both ways at once', async () => {
  const port = await serve(echoServer('127.0.0.1'));
  const listener = await started.guest.listen(0, (inner) => {
    void started.guest.connect(port).then((outer) => inner.pipe(outer).pipe(inner));
  });
  const script = `
    const c = require('net').connect({ port: ${listener.port}, host: '127.0.0.1', allowHalfOpen: true });
    const hash = () => require('crypto').createHash('sha1');
    const [up, down] = [hash(), hash()];
    c.on('data', (bytes) => down.update(bytes)).on('end', () => console.log(up.digest('hex') === down.digest('hex')));
    const piece = require('crypto').randomBytes(1e6);
    for (let i = 0; i < 20; i += 1) { up.update(piece); c.write(piece); }
    c.end();`;
  expect((await run(started.guest, [process.execPath, '-e', script])).stdout).toBe('true\n');
});

test('connections end with the sandbox, with an error where somebody listens for it', async () => {
  const connection = await started.guest.connect(await serve(echoServer('127.0.0.1')));
  const unwatched = await started.guest.listen(0, () => undefined);
  expect(unwatched.port).toBeGreaterThan(0);
  const failed = once(connection, 'error');
  started.bubblewrap.kill('SIGKILL');
  expect(await failed).toMatchObject([{ code: 'Unavailable' }]);
});

async function closed(connection: Duplex): Promise<void> {
  if (!connection.closed) await once(connection, 'close');
}
