import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Child, startChild } from '../../src/cli/testing/child.js';
import { awaitEnd, descendantsOf, type ProcessMark } from '../../src/cli/testing/process-tree.js';
import { Reaper } from '../../src/cli/testing/reaper.js';
import { startNatsServer, startRedisServer } from '../../src/cli/testing/servers.js';

const abandonedReaper = join(import.meta.dirname, 'abandoned-reaper.ts');

let folder: string;
let reaper: Reaper;
let before: Set<number>;
const children: Child[] = [];
const { signal } = new AbortController();

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hf-servers-'));
  reaper = new Reaper(folder);
  before = new Set(descendantsOf(process.pid).map((mark) => mark.pid));
});

afterEach(async () => {
  for (const child of children.splice(0)) await child.stop(0);
  await reaper.dismiss();
  rmSync(folder, { recursive: true });
});

/** What a server says to some lines on a connection of its own. */
function ask(url: string, lines: string, until: RegExp): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    let heard = '';
    const socket = connect({ host: hostname, port: Number(port) });
    socket.on('error', reject).on('data', (data) => {
      heard += String(data);
      if (!until.test(heard)) return;
      socket.destroy();
      resolve(heard);
    });
    socket.write(lines);
  });
}

function node(script: string, readyFrom: (line: string) => string | null = () => null, asked?: AbortSignal) {
  const args = ['-e', script];
  const env = { PATH: process.env['PATH'] };
  return startChild({
    name: 'a program',
    kind: 'part' as const,
    program: process.execPath,
    args,
    env,
    readyFrom,
    reaper,
    signal: asked ?? signal,
  });
}

/** What runs of this test, the reaper aside. */
function programs(): ProcessMark[] {
  return descendantsOf(process.pid).filter((mark) => !before.has(mark.pid));
}

test('redis-server answers when it has started, appends to a file and never evicts', async () => {
  const { url, child } = await startRedisServer({ folder: join(folder, 'redis'), reaper, signal });
  children.push(child);
  const heard = await ask(url, 'CONFIG GET appendonly\r\nCONFIG GET maxmemory-policy\r\n', /noeviction/);
  expect(heard).toContain('appendonly\r\n$3\r\nyes');
  expect(existsSync(join(folder, 'redis', 'appendonlydir'))).toBe(true);
});

test('two nats-servers run side by side on ports of their own', async () => {
  const start = () => startNatsServer({ folder: join(folder, 'nats'), reaper, signal });
  const [one, two] = await Promise.all([start(), start()]);
  children.push(one.child, two.child);
  expect(one.url).not.toBe(two.url);
  expect(await ask(one.url, 'PING\r\n', /PONG/)).toContain('"proto":1');
});

test('a program that ends before it is ready fails with the end of what it printed on both streams', async () => {
  const script =
    "console.log('x'.repeat(100_000)); console.log('last out'); console.error('last err'); process.exitCode = 3";
  const error: Error = await node(script).then(
    () => new Error('started'),
    (e) => e,
  );
  expect(error.message).toContain('a program ended before it was ready; it printed:');
  expect(error.message).toContain('last out');
  expect(error.message).toContain('last err');
  expect(error.message.length).toBeLessThan(5_000);
});

test('a line that arrives in pieces is read as one, whatever the other stream says meanwhile', async () => {
  const script = `
    process.stdout.write('rea');
    process.stderr.write('noise\\n', () => process.stdout.write('dy 7\\nmore'));
    process.stdin.resume(); setInterval(() => undefined, 1_000);
  `;
  const { child, ready } = await node(script, (line) => /^ready (\d+)$/.exec(line)?.[1] ?? null);
  children.push(child);
  expect(ready).toBe('7');
});

test('a program that cannot be started is named', async () => {
  const command = {
    name: 'nothing',
    kind: 'part' as const,
    program: join(folder, 'nothing'),
    args: [],
    env: {},
    readyFrom: () => null,
  };
  await expect(startChild({ ...command, reaper, signal })).rejects.toThrow(/nothing: .*ENOENT/);
});

test('a start that is aborted ends the program', async () => {
  const abort = new AbortController();
  const starting = node(
    "console.log('up'); setInterval(() => undefined, 1_000)",
    (line) => {
      if (line === 'up') abort.abort();
      return null;
    },
    abort.signal,
  );
  await expect(starting).rejects.toThrow('the start of a program was aborted');
  expect(programs()).toEqual([]);
});

test('a process that does not heed SIGTERM is ended by force after its bound', async () => {
  const script = "process.on('SIGTERM', () => undefined); console.log('up'); setInterval(() => undefined, 1_000)";
  const { child } = await node(script, (line) => (line === 'up' ? line : null));
  const marks = programs();
  expect(marks).toHaveLength(1);
  await child.stop(50);
  expect(await awaitEnd(marks, 5_000)).toEqual([]);
});

test('processes that are still there after the wait are killed and named', async () => {
  const { child } = await node("console.log('up'); setInterval(() => undefined, 1_000)", (line) => line);
  const marks = programs();
  expect(await awaitEnd(marks, 0)).toEqual(marks);
  await child.ended;
});

test('a reaper that is left alone kills what it was told of and not unsaid, and removes the folder', async () => {
  const path = join(folder, 'cluster');
  mkdirSync(path);
  const sleeper = () => spawn('sleep', ['60'], { stdio: 'ignore' });
  const [spared, part, server] = [sleeper(), sleeper(), sleeper()] as const;
  const ends = [part, server].map((child) => once(child, 'exit'));
  const pids = [spared, part, server].map((child) => String(child.pid));
  const program = spawn(process.execPath, ['--import', 'tsx', abandonedReaper, path, ...pids], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const marks: ProcessMark[] = JSON.parse(await text(program.stdout));
  expect(marks).toHaveLength(1);
  expect(await Promise.all(ends)).toEqual([
    [null, 'SIGKILL'],
    [null, 'SIGKILL'],
  ]);
  expect(await awaitEnd(marks, 30_000)).toEqual([]);
  expect(existsSync(path)).toBe(false);
  expect(spared.exitCode ?? spared.signalCode).toBeNull();
  spared.kill('SIGKILL');
});
