import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isHoldfastError } from '../../../src/common/errors.js';
import type { Guest } from '../../../src/common/ports/guest.js';
import { TimerWheel } from '../../../src/common/timer-wheel.js';
import { openGuest } from '../../../src/runtime/sandbox/guest/guest-client.js';
import { GuestAnswer, GuestRequest, guestProtocolVersion } from '../../../src/runtime/sandbox/guest/guest-frames.js';
import { guestSilentMs } from '../../../src/runtime/sandbox/guest/guest-pulse.js';
import { isolatedTest } from '../../isolated-test.js';
import { ManualClock } from '../../manual-clock.js';
import { environment, run, startIsolated, wheel } from './start-guest.js';

let folder: string;
let server: ReturnType<typeof createServer>;
let accepted: (socket: Socket) => void = () => undefined;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-hostile-'));
  server = createServer((socket) => accepted(socket)).listen(join(folder, 'link'));
  await once(server, 'listening');
});
afterAll(async () => {
  server.close();
  await rm(folder, { recursive: true, force: true });
});

/** A socket to a worker that believes to have the agent of a sandbox there. */
async function impersonate(deadlines = wheel): Promise<{ guest: Promise<Guest>; agent: Socket }> {
  const agent = connect(join(folder, 'link'));
  agent.on('error', () => undefined);
  agent.resume();
  const socket = await new Promise<Socket>((resolve) => {
    accepted = resolve;
  });
  const guest = openGuest(socket, deadlines);
  guest.catch(() => undefined);
  return { guest, agent };
}

function frame(kind: number, ref: number, body: Uint8Array | readonly number[] = []): Buffer {
  const bytes = Buffer.alloc(9 + body.length);
  bytes.writeUInt32LE(5 + body.length, 0);
  bytes.writeUInt8(kind, 4);
  bytes.writeUInt32LE(ref, 5);
  bytes.set(body, 9);
  return bytes;
}

/** One of a directory, as of getdents64(2). */
function entry(name: string, type = 8): Buffer {
  const bytes = Buffer.concat([Buffer.alloc(18, 8), Buffer.of(type), Buffer.from(name)]);
  bytes.writeUInt16LE(bytes.length, 16);
  return bytes;
}

const { Ok, Error: Failed, Data, Errors, End, Credit, Exit, Accepted, Hello } = GuestAnswer;
const hello = frame(Hello, 0, [guestProtocolVersion, 0, 0, 0]);

/** One of each kind of operation, by ref; all of them wait. */
function startOperations(guest: Guest): Promise<unknown>[] {
  const reader = guest.read('/a');
  const command = { argv: ['a'], cwd: '/', env: environment, stdin: true };
  return [
    guest.spawn(command, () => undefined).then((process) => process.exited),
    guest.stat('/a'),
    reader.next(),
    guest.readFile('/a', { maxBytes: 1000 }),
    guest.list('/a'),
    guest.writeFile('/a', new Uint8Array(10)),
    guest.write('/a').then((writer) => writer.end()),
    guest.watch('/a').then((changes) => changes.next()),
    guest.connect(80).then((connection) => once(connection, 'close')),
    guest.listen(80, () => undefined),
    guest.realpath('/a'),
    guest.remove('/a'),
    guest.processes(),
  ];
}
const operations = 14;

describe('a worker whose guest sends what it should not', () => {
  const someFrame = fc
    .record({
      kind: fc.oneof(fc.integer({ min: 64, max: 72 }), fc.integer({ min: 0, max: 255 })),
      ref: fc.oneof(fc.integer({ min: 0, max: operations + 1 }), fc.integer({ min: 0, max: 0xffff_ffff })),
      body: fc.oneof(
        fc.uint8Array({ maxLength: 30 }),
        fc.constantFrom(...[0, 2, 4, 19].map((length) => new Uint8Array(length).fill(1))),
        fc.integer({ min: 1, max: 200_000 }).map((length) => new Uint8Array(length)),
      ),
    })
    .map(({ kind, ref, body }) => frame(kind, ref, body));
  const garbage = fc.oneof(
    fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes)),
    someFrame,
  );

  test('loses that guest at the most: whoever waits for it is told, and other guests go on', async () => {
    const other = await impersonate();
    other.agent.write(hello);
    const otherGuest = await other.guest;
    let otherRef = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(garbage, { minLength: 1, maxLength: 12 }), fc.boolean(), async (pieces, cut) => {
        const { guest, agent } = await impersonate();
        agent.write(hello);
        const opened = await guest;
        const waiting = startOperations(opened).map((each) =>
          each.then(
            () => null,
            (error: unknown) => error,
          ),
        );
        const bytes = Buffer.concat(pieces);
        agent.write(cut ? bytes.subarray(0, bytes.length - 1) : bytes);
        agent.end();
        expect(await opened.closed).toMatchObject({ code: 'Unavailable', outcome: 'unknown' });
        for (const error of await Promise.all(waiting)) expect(error === null || isHoldfastError(error)).toBe(true);
        await expect(opened.stat('/')).rejects.toMatchObject({ code: 'Unavailable' });

        const resolved = otherGuest.realpath('/x');
        otherRef += 1;
        other.agent.write(frame(Ok, otherRef, Buffer.from('/y')));
        expect(await resolved).toBe('/y');
      }),
      { numRuns: 300 },
    );
    otherGuest.close();
  });

  const spawned = frame(Ok, 1, [5, 0, 0, 0]);
  const stat = frame(Ok, 3, new Uint8Array(19));
  const listening = frame(Ok, 11, [80, 0]);
  test.each<[string, Buffer[]]>([
    ['a gigantic length', [Buffer.from([0xff, 0xff, 0xff, 0xff, Ok, 1, 0, 0, 0])]],
    ['a length below the least', [Buffer.from([1, 0, 0, 0, Ok, 1, 0, 0, 0])]],
    ['a long frame that is not data', [frame(Failed, 2, new Uint8Array(100_000))]],
    ['too much data in a frame', [stat, frame(Data, 3, new Uint8Array(131_073))]],
    ['an empty frame of data', [stat, frame(Data, 3)]],
    ['an unknown kind', [frame(200, 1)]],
    ['a request', [frame(3 satisfies GuestRequest, 1)]],
    ['hello twice', [hello]],
    ['something else than hello', [frame(Ok, 0)]],
    ['an answer to what was not asked', [frame(Ok, operations + 1_000_000)]],
    ['output before its process', [frame(Data, 1, [65])]],
    ['more output than credit', [spawned, ...Array.from({ length: 3 }, () => frame(Data, 1, new Uint8Array(131_072)))]],
    ['process 0', [frame(Ok, 1, [0, 0, 0, 0])]],
    ['a process twice', [spawned, spawned]],
    ['an end that is none', [spawned, frame(Exit, 1, [0])]],
    ['credit that was not used', [spawned, frame(Credit, 1, [1, 0, 0, 0])]],
    ['no credit', [spawned, frame(Credit, 1, [0, 0, 0, 0])]],
    ['data for what has none', [frame(Errors, 2, [65])]],
    ['a stat that is none', [frame(Ok, 2, [1])]],
    ['a name with a slash', [frame(Data, 5, entry('a/b\0'))]],
    ['an empty name', [frame(Data, 5, entry('\0'))]],
    ['an entry without a name', [frame(Data, 5, entry(''))]],
    ['a name without an end', [frame(Data, 5, entry('a'.repeat(261)))]],
    ['an entry that is too long', [frame(Data, 5, entry(`${'a'.repeat(600)}\0`))]],
    ['a path that is none', [frame(Ok, 12, Buffer.from('etc'))]],
    ['a connection that it never announced', [listening, frame(Accepted, 11, [1, 0, 0, 0])]],
    ['the same connection twice', [listening, ...[1, 2].map(() => frame(Accepted, 11, [1, 0, 0, 0x80]))]],
    ['data after the end of a connection', [frame(Ok, 10), frame(End, 10), frame(Data, 10, [65])]],
    ['answers without end to what is over', Array.from({ length: 200 }, () => frame(End, 2))],
    ['a greeting for an operation', [frame(Hello, 2, [guestProtocolVersion, 0, 0, 0])]],
  ])('ends the link at %s', async (_, frames) => {
    const { guest, agent } = await impersonate();
    agent.write(hello);
    const opened = await guest;
    for (const each of startOperations(opened)) each.catch(() => undefined);
    const gone = new Promise((resolve) => agent.once('close', resolve));
    agent.write(Buffer.concat(frames));
    const error = await opened.closed;
    expect(error).toMatchObject({ code: 'Unavailable' });
    expect(error.message).toMatch(/broke its protocol/);
    await gone;
  });

  test('looks up each type that a directory does not tell, and leaves open that of what is gone meanwhile', async () => {
    const names = Array.from({ length: 150 }, (_, i) => `${'n'.repeat(i + 100)}\n${i}`);
    const looked: string[] = [];
    const answer = (kind: number | undefined, ref: number, body: Buffer): Buffer => {
      const entries = [entry('told\0', 10), ...names.map((name) => entry(`${name}\0`, 0))];
      if (kind === GuestRequest.List)
        return Buffer.concat([
          frame(Ok, ref, new Uint8Array(19)),
          frame(Data, ref, Buffer.concat(entries)),
          frame(End, ref),
        ]);
      const path = String(body.subarray(1, -1));
      looked.push(path);
      return path.endsWith('\n7') ? frame(Failed, ref, [2, 0, 0, 0, 0]) : frame(Ok, ref, [4, ...new Uint8Array(18)]);
    };
    const { guest, agent } = await impersonate();
    let unread = Buffer.alloc(0);
    agent.on('data', (bytes) => {
      unread = Buffer.concat([unread, bytes]);
      const nextSize = () => (unread.length < 4 ? Number.POSITIVE_INFINITY : unread.readUInt32LE(0) + 4);
      for (let size = nextSize(); unread.length >= size; size = nextSize()) {
        agent.write(answer(unread[4], unread.readUInt32LE(5), unread.subarray(9, size)));
        unread = unread.subarray(size);
      }
    });
    agent.write(hello);
    const listed = await (await guest).list('/folder');
    const expected = names.map((name, i) => ({ name, type: i === 7 ? 'other' : 'directory' }));
    expect(listed).toEqual([...expected, { name: 'told', type: 'symlink' }]);
    expect(looked.sort()).toEqual(names.map((name) => `/folder/${name}`).sort());
  });

  test('does not open a guest of another version, or one that ends first', async () => {
    const old = await impersonate();
    old.agent.write(frame(Hello, 0, [guestProtocolVersion + 1, 0, 0, 0]));
    await expect(old.guest).rejects.toMatchObject({ message: expect.stringContaining('another version') });
    const dead = await impersonate();
    dead.agent.end();
    await expect(dead.guest).rejects.toMatchObject({ code: 'Unavailable' });
  });

  test('keeps little for a guest that never answers, and gives its credit for what never comes to nobody', async () => {
    const { guest, agent } = await impersonate();
    agent.write(hello);
    const opened = await guest;
    agent.pause();
    const waiting = Array.from({ length: 9_000 }, () => opened.stat('/a').catch((error: unknown) => error));
    expect(await waiting.at(-1)).toMatchObject({
      code: 'Unavailable',
      message: expect.stringContaining('8192 operations'),
    });
    opened.close();
    expect(await waiting[0]).toMatchObject({ code: 'Unavailable' });
  });

  test('counts entries of a list by what they take here, however short their names are', async () => {
    const { guest, agent } = await impersonate();
    agent.write(hello);
    const opened = await guest;
    const listing = opened.list('/a', { maxBytes: 100_000 }).catch((error: unknown) => error);
    const many = Buffer.concat(Array.from({ length: 2_000 }, () => entry('b\0')));
    agent.write(Buffer.concat([frame(Data, 1, many), frame(End, 1)]));
    expect(await listing).toMatchObject({ code: 'PayloadTooLarge' });
    opened.close();
  });

  test('does not wait for what it still asks about a list when nobody wants that any more', async () => {
    const { guest, agent } = await impersonate();
    agent.write(hello);
    const opened = await guest;
    const stop = new AbortController();
    const listing = opened.list('/a', { signal: stop.signal }).catch((error: unknown) => error);
    let heard = Buffer.alloc(0);
    agent.on('data', (chunk: Buffer) => {
      heard = Buffer.concat([heard, chunk]);
    });
    // Its file system tells no types, and it never says what they are.
    agent.write(Buffer.concat([frame(Data, 1, Buffer.concat([entry('b\0', 0), entry('c\0', 0)])), frame(End, 1)]));
    while (!heard.includes('/a/c')) await turn();
    const gone = new Error('nobody wants it any more');
    stop.abort(gone);
    expect(await listing).toBe(gone);
    opened.close();
  });

  test('holds data back while its guest does not read, and sends it when it does', async () => {
    const { guest, agent } = await impersonate();
    agent.write(hello);
    agent.pause();
    const opened = await guest;
    const writer = opened.write('/a');
    agent.write(frame(Ok, 1));
    const open = await writer;
    let sent = 0;
    const writing = (async () => {
      for (; sent < 64; sent += 1) await open.write(new Uint8Array(65_536));
    })();
    writing.catch(() => undefined);
    for (let i = 0; i < 100; i += 1) await turn();
    // Credit is 256 KiB, and no more of it comes.
    expect(sent).toBeLessThanOrEqual(4);
    agent.resume();
    agent.write(frame(Credit, 1, [0, 0, 4, 0]));
    while (sent < 8) await turn();
    opened.close();
    await expect(writing).rejects.toMatchObject({ code: 'Unavailable' });
  });
});

describe('a worker whose guest says nothing', () => {
  const clock = new ManualClock();
  const time = new TimerWheel(clock, 1_000);
  const passSilences = (count: number): void => {
    for (let i = 0; i < count; i += 1) clock.advance(guestSilentMs + 1_000);
  };

  test('waits for one that is slow, gives up one that does not answer, and tells whoever waits', async () => {
    const { guest, agent } = await impersonate(time);
    agent.write(hello);
    const opened = await guest;
    const waiting = opened.stat('/a').catch((error: unknown) => error);
    // The first began with its greeting.
    passSilences(2);
    // It was asked for something in between, and answers late. The second answer is here to tell that the first one is.
    agent.write(frame(Ok, 2, new Uint8Array(19)));
    const answered = opened.realpath('/x');
    agent.write(frame(Ok, 3, Buffer.from('/y')));
    await answered;
    passSilences(2);
    expect(await Promise.race([waiting, turn('waits')])).toBe('waits');
    passSilences(1);
    expect(await waiting).toMatchObject({
      code: 'Unavailable',
      outcome: 'unknown',
      message: expect.stringContaining('not answered for 120 s'),
    });
    expect(await opened.closed).toMatchObject({ code: 'Unavailable' });
  });

  test('lets it be while nobody waits for it', async () => {
    const { guest, agent } = await impersonate(time);
    agent.write(hello);
    const opened = await guest;
    const listening = opened.listen(80, () => undefined);
    agent.write(frame(Ok, 1, [80, 0]));
    await listening;
    passSilences(4);
    const answered = opened.realpath('/x');
    agent.write(frame(Ok, 2, Buffer.from('/y')));
    expect(await answered).toBe('/y');
    opened.close();
  });

  test('gives up one that does not even greet', async () => {
    const { guest } = await impersonate(time);
    const refused = guest.catch((error: unknown) => error);
    passSilences(2);
    expect(await refused).toMatchObject({ code: 'Unavailable' });
  });
});

const sleep = Buffer.from(['/bin/sleep', '600', ''].join('\0'));

describe('an agent whose worker sends what it should not', () => {
  isolatedTest.each<[string, Buffer]>([
    ['bytes that are no frame', Buffer.alloc(100, 'garbage')],
    ['a gigantic length', Buffer.from([0xff, 0xff, 0xff, 0x7f, 1, 1, 0, 0, 0])],
    ['a length below the least', Buffer.from([0, 0, 0, 0, 1, 1, 0, 0, 0])],
    ['an unknown kind', frame(22, 1)],
    ['an answer', frame(65, 1)],
    ['a body that is cut off', frame(7, 1, [0, 0])],
    ['a body with something behind', frame(10, 1, Buffer.from('\x00\x00/tmp\0more'))],
    ['a path without an end', frame(10, 1, Buffer.from('\x00\x00/tmp'))],
    [
      'more texts than there are',
      frame(7, 1, Buffer.concat([Buffer.alloc(9), Buffer.alloc(4, 0xff), Buffer.from('/\0a\0')])),
    ],
    ['no program', frame(7, 1, Buffer.concat([Buffer.alloc(13), Buffer.from('/\0A=b\0')]))],
    ['a ref that is in use', Buffer.concat([1, 1].map((ref) => frame(16, ref, Buffer.from('\0\0\x01/tmp/a\0'))))],
    ['a ref of its own', frame(10, 0x8000_0001, Buffer.from('\0\0/tmp/a\0'))],
    [
      'more input for a command than it gave credit for',
      Buffer.concat([
        frame(7, 1, [0, 0, 0, 0, 1, 0, 0, 0, 0, 2, 0, 0, 0, ...Buffer.from('/\0'), ...sleep]),
        ...[1, 2, 3, 4, 5].map(() => frame(1, 1, new Uint8Array(100_000))),
      ]),
    ],
    [
      'more data than it gave credit for',
      Buffer.concat([
        frame(16, 1, Buffer.from('\0\0\x01/dev/null\0')),
        ...[1, 2, 3].map(() => frame(1, 1, new Uint8Array(131_072))),
        frame(1, 1, new Uint8Array(900_000)),
      ]),
    ],
  ])('ends, and everything inside with it, at %s', async (_, bytes) => {
    await using isolated = await startIsolated(['/run/holdfast-guest']);
    isolated.link.on('error', () => undefined);
    isolated.link.resume();
    const exited = once(isolated.bubblewrap, 'exit');
    isolated.link.write(bytes);
    expect((await exited)[0]).not.toBe(0);
  });

  isolatedTest('waits for the other half of a frame, and ends with its link', async () => {
    await using isolated = await startIsolated(['/run/holdfast-guest']);
    const exited = once(isolated.bubblewrap, 'exit');
    const guest = await openGuest(isolated.link, wheel);
    isolated.link.write(frame(9, 1000, Buffer.from('\0\0\0\0/tmp')).subarray(0, 12));
    isolated.link.end();
    await exited;
    expect(await guest.closed).toMatchObject({ code: 'Unavailable' });
  });

  isolatedTest('goes on with follow-ups of what is over', async () => {
    await using isolated = await startIsolated(['/run/holdfast-guest']);
    const guest = await openGuest(isolated.link, wheel);
    for (const kind of [1, 2, 3, 4, 5, 6]) {
      const body = [new Uint8Array(10), [], [1, 0, 0, 0], [], [1, 0, 1, 0], [1]][kind - 1] as number[];
      isolated.link.write(frame(kind, 77, body));
    }
    expect(await run(guest, ['true'])).toMatchObject({ exitCode: 0 });
  });
});
