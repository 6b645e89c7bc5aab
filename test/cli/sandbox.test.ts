import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { cpSync, mkdtempSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { startCluster, type TestCluster } from 'holdfast/testing';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { isolatedTest as test } from '../isolated-test.js';
import { leftOf, tracesOfNew } from '../system/sandboxes/host-traces.js';
import { Home } from './holdfast.js';

const program = join(import.meta.dirname, '../../dist/cli/main.js');
const session = 'sandboxes/shell/one';
let cluster: TestCluster;
let home: Home;
let folder: string;
let env: Record<string, string>;

beforeAll(async () => {
  cluster = await startCluster({ mode: 'real' });
  await cluster.deploy(new URL('../fixtures/sandbox-app.ts', import.meta.url));
  env = { HOLDFAST_ENDPOINT: cluster.endpoint, HOLDFAST_TOKEN: cluster.token };
  home = new Home();
  folder = mkdtempSync(join(tmpdir(), 'holdfast-cli-sandbox-'));
  const made = await home.run(['sandbox', 'create', 'sandboxes/shell', 'one', '--cwd', '/job', '--tag', 'x'], { env });
  expect(made).toEqual({ exitCode: 0, stdout: `${session}\n`, stderr: '' });
}, 60_000);

afterAll(async () => {
  await home[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
  await cluster.close();
});

function run(args: readonly string[], stdin?: string) {
  return home.run(['sandbox', ...args], { env, ...(stdin === undefined ? {} : { stdin }) });
}

describe('holdfast sandbox', () => {
  test('makes a session, with a fresh id where none is given, and closes it', async () => {
    const { stdout } = await run(['create', 'sandboxes/shell', '--json', '--env', 'A=1', '--network', 'none']);
    const { handle } = JSON.parse(stdout) as { handle: { kind: string; app: string; name: string; id: string } };
    expect(handle).toMatchObject({ kind: 'sandbox', app: 'sandboxes', name: 'shell' });
    const name = `sandboxes/shell/${handle.id}`;
    expect((await run(['exec', name, '--shell', 'echo $A'])).stdout).toBe('1\n');
    expect((await run(['close', name])).stdout).toBe(`closed ${name}\n`);
    expect((await run(['close', name])).stdout).toContain('not there');
    const gone = await run(['exec', name, 'true']);
    expect(gone).toMatchObject({ exitCode: 3, stdout: '' });
    expect(gone.stderr).toContain(`sandbox create sandboxes/shell ${handle.id}`);
  });

  test('runs a command whose output and exit code are its own', async () => {
    const ran = await run(['exec', session, '--', 'sh', '-c', 'pwd; echo err >&2; exit 7']);
    expect(ran).toEqual({ exitCode: 7, stdout: '/job\n', stderr: 'err\n' });
    expect(await run(['exec', session, '--shell', 'kill -9 $$'])).toMatchObject({ exitCode: 137 });
    expect(await run(['exec', session, '--stdin', '--', 'tr', 'a-z', 'A-Z'], 'shout')).toMatchObject({
      stdout: 'SHOUT',
    });
    expect(await run(['exec', session, '--cwd', '/tmp', '--env', 'X=y', '--shell', 'pwd; echo $X'])).toMatchObject({
      stdout: '/tmp\ny\n',
    });
    const late = await run(['exec', session, '--timeout', '100', 'sleep', '10']);
    expect(late).toMatchObject({ exitCode: 137, stderr: expect.stringContaining('--timeout of 100 ms') });
    const own = await run(['exec', '--cwd', '/tmp', session, 'sh', '-c', 'echo "$PWD $1 $2"', 'sh', '-i', '--json']);
    expect(own).toEqual({ exitCode: 0, stdout: '/tmp -i --json\n', stderr: '' });
    const json = JSON.parse((await run(['exec', session, '--json', 'echo', 'hi'])).stdout);
    expect(json).toMatchObject({ stdout: 'hi\n', exitCode: 0, command: ['echo', 'hi'] });
  });

  test('says what is wrong with a command line, and what was not found', async () => {
    expect(await run(['exec', 'sandboxes/shell', 'true'])).toMatchObject({ exitCode: 2 });
    expect(await run(['exec', session, '--shell', 'a', 'b'])).toMatchObject({ exitCode: 2 });
    expect(await run(['exec', session])).toMatchObject({ exitCode: 2 });
    expect(await run(['exec', session, '--shell'])).toMatchObject({ exitCode: 2 });
    const unknown = await run(['exec', session, '--sheel', 'a']);
    expect(unknown).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('--sheel is no option') });
    expect(await run(['exec', session, '--help'])).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining('Usage: holdfast sandbox exec'),
    });
    expect(await run(['exec', session, 'no-such-program'])).toMatchObject({ exitCode: 3 });
    expect((await run(['exec', session, 'ls /'])).stderr).toContain('with --shell');
    const mistyped = await run(['exec', 'sandboxes/shel/one', 'true']);
    expect(mistyped).toMatchObject({ exitCode: 3, stderr: expect.stringContaining("no sandbox 'shel'") });
    expect((await run(['create', 'sandboxes'])).stderr).toContain('write APP/SANDBOX, e.g. demo/shell');
    expect((await run(['create', session])).stderr).toContain('write APP/SANDBOX ID, with a space');
    expect((await run(['attach', session, 'x'])).stderr).toContain('`holdfast help sandbox attach` shows how');
    const conflict = await run(['create', 'sandboxes/shell', 'one', '--env', 'A=1']);
    expect(conflict.stderr).toContain('session sandboxes/shell/one was made with other options');
    expect(await run(['ls', `${session}:/nowhere`])).toMatchObject({ exitCode: 3 });
    expect(await run(['cp', 'a', 'b'])).toMatchObject({ exitCode: 2 });
    expect(await run(['forward', session, 'x'])).toMatchObject({ exitCode: 2 });
    expect(await run(['create', 'sandboxes/none'])).toMatchObject({ exitCode: 3 });
    expect(await run(['shell', session])).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('terminal') });
  });

  test('copies files in and out, and lists them', async () => {
    const local = join(folder, 'data.bin');
    const bytes = randomBytes(2_000_000);
    writeFileSync(local, bytes);
    const up = await run(['cp', local, `${session}:/job/sub/`]);
    expect(up.exitCode).toBe(3);
    await run(['exec', session, 'mkdir', 'sub']);
    const done = await run(['cp', local, `${session}:/job/sub`]);
    expect([done.exitCode, done.stderr]).toEqual([0, expect.stringMatching(/^data\.bin: 1\.9 MiB in .* s, .*\/s\n$/)]);
    const nowhere = await run(['cp', `${session}:sub/data.bin`, join(folder, 'no/where')]);
    expect(nowhere).toMatchObject({ exitCode: 3, stderr: expect.stringContaining('no/where') });
    const refused = await run(['cp', local, `${session}:/usr/data.bin`]);
    expect([refused.exitCode, refused.stderr]).toEqual([6, expect.not.stringContaining('token')]);
    const hash = createHash('sha256').update(bytes).digest('hex');
    expect((await run(['exec', session, 'sha256sum', 'sub/data.bin'])).stdout).toContain(hash);
    expect((await run(['cp', `${session}:sub/data.bin`, join(folder, 'back')])).exitCode).toBe(0);
    expect(readFileSync(join(folder, 'back')).equals(bytes)).toBe(true);
    expect((await run(['ls', session])).stdout).toBe('sub\n');
    const long = JSON.parse((await run(['ls', '--long', '--json', `${session}:sub`])).stdout);
    expect(long).toMatchObject([{ path: '/job/sub/data.bin', size: 2_000_000, type: 'file' }]);
    expect((await run(['ls', '-l', `${session}:sub`])).stdout).toMatch(/file\s+0644\s+2000000 .* data\.bin\n$/);
  });

  test('makes an image of the files of a session', async () => {
    const taken = await run(['snapshot', session]);
    expect(taken).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/^[0-9a-f]{64}\n$/) });
    const again = JSON.parse((await run(['snapshot', session, '--json'])).stdout) as { image: string };
    expect(again.image).toHaveLength(64);
    expect(await run(['snapshot', 'sandboxes/shell/never-made'])).toMatchObject({ exitCode: 3, stdout: '' });
  });

  test('lists processes, and follows one that somebody started', async () => {
    const child = home.start(['sandbox', 'exec', session, '--shell', 'sleep 99'], env);
    const listed = await listedProcess(/sleep 99/);
    expect(listed).toMatch(/^\s*\d+\s+\d+(ms|s)\s+/m);
    child.signal('SIGINT');
    expect(await child.ended).toBe(5);
    const { App, Client } = await import('holdfast');
    await using client = new Client({ endpoint: cluster.endpoint, token: cluster.token });
    const app = await App.lookup<typeof import('../fixtures/sandbox-app.js')>('sandboxes', { client });
    const attached = await app.shell.named('one');
    const spawned = await attached.spawn('echo one; read line; echo "got $line"; exit 4', {
      shell: true,
      stdin: (async function* () {
        await new Promise(() => undefined);
      })(),
    });
    const following = home.start(['sandbox', 'attach', session, String(spawned.pid)], env);
    await following.says(/one\n/);
    await spawned.write('it\n');
    await following.says(/got it\n/);
    expect(await following.ended).toBe(4);
    const late = await run(['attach', session, String(spawned.pid), '--from-offset', '4']);
    expect(late).toEqual({ exitCode: 4, stdout: 'got it\n', stderr: '' });
  });

  test('reaches a port inside until it is stopped', async () => {
    const serve =
      'use IO::Socket::INET; my $s = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => 6000, Listen => 5); open(F, ">/tmp/up"); close F; while (my $c = $s->accept()) { print $c "hello\\n"; close $c }';
    const server = home.start(['sandbox', 'exec', session, '--', 'perl', '-e', serve], env);
    await listedFile('up');
    const forwarding = home.start(['sandbox', 'forward', session, '6000'], env);
    const address = await forwarding.line(/^127\.0\.0\.1:\d+$/);
    const socket = connect(Number(address.split(':')[1]), '127.0.0.1');
    expect(await text(socket)).toBe('hello\n');
    forwarding.signal('SIGINT');
    expect(await forwarding.ended).toBe(0);
    server.signal('SIGINT');
    await server.ended;
  });

  test('opens a shell in a real terminal, of its size, and gives it back as it was', async () => {
    const terminal = new RealTerminal(['sandbox', 'shell', session, 'sh'], env);
    await terminal.says(/[$#] $/);
    terminal.types('stty size; echo "$TERM" | tr a-z A-Z; tty\n');
    await terminal.says(/40 100\r+\n[\s\S]*XTERM\r+\n[\s\S]*\/dev\/pts/);
    terminal.resize(120, 50);
    terminal.types('until stty size | grep -q "^50 120$"; do sleep 0.02; done; echo "re""sized"\n');
    await terminal.says(/resized\r+\n/);
    terminal.types('sleep 100\n');
    await listedProcess(/sleep 100/);
    terminal.types('\u0003');
    terminal.types('echo back; exit 9\n');
    await terminal.says(/back\r+\n/);
    expect(await terminal.ended).toBe(9);
    expect(terminal.output).toContain('after: ');
    expect(terminal.output).toMatch(/after: .* icanon/);
  });
});

describe('a shell whose terminal goes', () => {
  test('ends in its session too', async () => {
    const terminal = new RealTerminal(['sandbox', 'shell', session, 'sh'], env);
    await terminal.says(/[$#] $/);
    terminal.types('sleep 1234\n');
    await listedProcess(/sleep 1234/);
    terminal.goes();
    while (/sleep 1234|sh$/m.test((await run(['ps', session])).stdout));
    await terminal.ended;
  });
});

describe('holdfast dev', () => {
  test('runs sandboxes, and leaves nothing of them when it ends', async () => {
    await using own = new Home();
    const module = join(own.folder, 'app.ts');
    cpSync(new URL('../fixtures/sandbox-app.ts', import.meta.url), module);
    const dev = own.start(['dev', module, '--listen', '127.0.0.1:0']);
    await dev.line(/Watching/);
    expect(await own.out('sandbox', 'create', 'sandboxes/shell', 'here')).toBe('sandboxes/shell/here');
    const word = `100000.${process.pid}`;
    const line = `sleep ${word} >/dev/null 2>&1 & echo hello > /tmp/file; cat /tmp/file`;
    expect(await own.out('sandbox', 'exec', 'sandboxes/shell/here', '--shell', line)).toBe('hello');
    const traces = await tracesOfNew(word);
    dev.signal('SIGINT');
    expect(await dev.ended).toBe(0);
    while (leftOf(traces).length > 0) await new Promise((resolve) => setImmediate(resolve));
  });
});

async function listedProcess(fits: RegExp): Promise<string> {
  for (;;) {
    const { stdout } = await run(['ps', session]);
    if (fits.test(stdout)) return stdout;
  }
}

async function listedFile(name: string): Promise<void> {
  while (!(await run(['ls', `${session}:/tmp`])).stdout.split('\n').includes(name));
}

/** The command in a pseudo terminal of 100 columns and 40 rows; the settings of that are printed when it has ended. */
class RealTerminal {
  readonly #child: ChildProcess;
  #output = '';
  #changed: () => void = () => undefined;
  readonly ended: Promise<number | null>;

  constructor(args: readonly string[], variables: Record<string, string>) {
    const quoted = [process.execPath, program, ...args].map((word) => `'${word}'`).join(' ');
    const line = `stty cols 100 rows 40; ${quoted}; code=$?; echo "after: $(stty -a | tr '\\n' ' ')"; exit $code`;
    this.#child = spawn('script', ['-qefc', line, '/dev/null'], {
      env: { PATH: process.env['PATH'] ?? '', SHELL: '/bin/sh', TERM: 'xterm', XDG_STATE_HOME: folder, ...variables },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      this.#output += chunk;
      this.#changed();
    });
    this.ended = once(this.#child, 'close').then(([code]) => code as number | null);
  }

  get output(): string {
    return this.#output;
  }

  types(keys: string): void {
    this.#child.stdin?.write(keys);
  }

  /** As a window does whose user pulls at its corner. */
  resize(cols: number, rows: number): void {
    const [shell] = readFileSync(`/proc/${this.#child.pid}/task/${this.#child.pid}/children`, 'utf8').split(' ');
    const terminal = readlinkSync(`/proc/${shell}/fd/0`);
    const { status } = spawnSync('stty', ['-F', terminal, 'cols', String(cols), 'rows', String(rows)]);
    if (status !== 0) throw new Error(`stty could not resize ${terminal}`);
  }

  goes(): void {
    this.#child.kill('SIGKILL');
  }

  async says(fits: RegExp): Promise<void> {
    while (!fits.test(this.#output)) {
      await new Promise<void>((resolve, reject) => {
        this.#changed = resolve;
        void this.ended.then((code) => reject(new Error(`ended with ${code} before ${fits}: ${this.#output}`)));
      });
    }
  }
}
