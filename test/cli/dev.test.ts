import { cpSync, existsSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Home, type Running } from './holdfast.js';

const counter = 'shop/Counter';
const home = new Home();
const module = join(home.folder, 'app.ts');
const stateFile = join(home.folder, 'holdfast', 'dev.json');
let dev: Running;

beforeAll(async () => {
  cpSync(new URL('./fixture-app.ts', import.meta.url), module);
  dev = home.start(['dev', module, '--listen', '127.0.0.1:0']);
  await dev.line(/Watching/);
});

afterAll(async () => {
  await dev[Symbol.asyncDispose]();
  await home[Symbol.asyncDispose]();
});

describe('holdfast dev', () => {
  it('tells a newcomer where it is and what to type, and that line works', async () => {
    expect(await dev.line(/endpoint/)).toMatch(/127\.0\.0\.1:\d+$/);
    expect(await dev.line(/ data /)).toContain(home.folder);
    expect(await dev.line(/ app /)).toMatch(/shop, deployment 1: Counter, Greeter, shell$/);
    const line = await dev.line(/^ {2}holdfast call /);
    expect(line).toBe('  holdfast call shop/Counter one add');
    expect(await home.out(...line.trim().split(' ').slice(1))).toBe('1');
    expect(dev.output).toContain(
      `${line}\n  holdfast sandbox create shop/shell one\n  holdfast sandbox shell shop/shell/one\n`,
    );
  });

  it('lets other programs of its user find it, and nobody else read its token', () => {
    const { endpoint, token } = JSON.parse(readFileSync(stateFile, 'utf8'));
    expect(dev.output).toContain(endpoint);
    expect(token).toMatch(/^hft\.default\./);
    expect(statSync(stateFile).mode & 0o777).toBe(0o600);
    expect(dev.output).not.toContain(token);
  });

  it('refuses to run twice over the same data', async () => {
    const { exitCode, stderr } = await home.run(['dev', module]);
    expect(exitCode).toBe(7);
    expect(stderr).toContain(`as process ${dev.pid}`);
  });
});

describe('holdfast calls', () => {
  it('spawns a call, fetches it by its id, lists it, and says what has become of it', async () => {
    const id = await home.out('call', counter, 'spawned', 'add', '[7]', '--spawn');
    expect(id).toMatch(/^fc-/);
    expect(await home.out('calls', 'get', id)).toBe('7');
    expect(await home.json('calls', 'get', id, '--json')).toBe(7);
    expect(await home.json('calls', 'ls', counter, 'spawned')).toMatchObject([
      { id, method: 'add', state: 'succeeded', attempt: 1 },
    ]);
    expect(await home.out('calls', 'ls', counter, 'spawned')).toContain('succeeded');
    expect(await home.out('calls', 'status', id)).toMatch(/succeeded\n.*method.*add/);
    expect(await home.json('calls', 'status', id)).toMatchObject({ status: 'succeeded', waitsFor: null });
    expect(await home.out('calls', 'cancel', id)).toBe('already-finished');
  });

  it('cancels one that runs, and tells one that there is none', async () => {
    const id = await home.out('call', counter, 'spawned-wait', 'wait', '[60000]', '--spawn');
    await dev.line(/Counter\/spawned-wait counter starts/);
    expect(await home.run(['calls', 'get', id, '--timeout', '50'])).toMatchObject({ exitCode: 5, stdout: '' });
    expect(await home.json('calls', 'cancel', id)).toEqual({ id, outcome: 'aborted' });
    const { exitCode, stderr } = await home.run(['calls', 'get', id]);
    expect([exitCode, stderr]).toEqual([5, expect.stringContaining('cancelled')]);
    expect((await home.run(['calls', 'get', `${id.slice(0, -4)}0000`])).stderr).toContain('24 h');
    expect((await home.run(['calls', 'get', 'nonsense'])).exitCode).toBe(2);
    expect((await home.run(['call', counter, 'gen', 'upTo', '[2]', '--spawn'])).exitCode).toBe(2);
  });
});

describe('holdfast call', () => {
  it('keeps the state of a named instance between calls', async () => {
    expect(await home.out('call', counter, 'kept', 'add', '[2]')).toBe('2');
    expect(await home.out('call', counter, 'kept', 'add', '[3]')).toBe('5');
  });

  it('prints one line for each value of a generator', async () => {
    expect(await home.out('call', counter, 'gen', 'upTo', '[2]')).toBe('{ step: 1 }\n{ step: 2 }');
    expect(await home.out('call', counter, 'gen', 'upTo', '[2]', '--json')).toBe('{"step":1}\n{"step":2}');
  });

  it('prints what JSON cannot say for people, and as JSON for programs', async () => {
    expect(await home.out('call', counter, 'odd', 'odd')).toContain("Map(1) { 'a' => 1n }");
    const document = await home.json('call', counter, 'odd', 'odd');
    expect(document).toEqual({ map: [['a', '1']], at: '1970-01-01T00:00:00.000Z', nothing: null });
  });

  it('asks for the arguments of a constructor that needs them, and only where the instance is not there', async () => {
    const forgotten = await home.run(['call', 'shop/Greeter', 'g', 'greet', '["Ada"]']);
    expect(forgotten).toMatchObject({ exitCode: 2, stdout: '' });
    expect(forgotten.stderr).toContain(`--init '["greeting"]'`);
    expect(await home.out('call', 'shop/Greeter', 'g', 'greet', '["Ada"]', '--init', '["Hello"]')).toBe('Hello, Ada!');
    expect(await home.out('call', 'shop/Greeter', 'g', 'greet', '["Bob"]')).toBe('Hello, Bob!');
  });

  it('cancels its call at Ctrl-C and ends with 5', async () => {
    const call = home.start(['call', counter, 'cancelled', 'wait', '[60000]']);
    await dev.line(/Counter\/cancelled counter starts/);
    call.signal('SIGINT');
    expect(await call.ended).toBe(5);
    expect(call.output).toMatch(/^error Cancelled: /);
  });
});

describe('errors', () => {
  it("show the user's own error with its stack and its cause, and none of the runtime's frames", async () => {
    const { exitCode, stdout, stderr } = await home.run(['call', counter, 'e', 'fail', '["no stock"]']);
    expect(exitCode).toBe(1);
    expect(stdout).toBe('');
    const [first, frame] = stderr.split('\n');
    expect(first).toBe('error UserError: RangeError: no stock');
    expect(frame).toMatch(/^ {4}at .*Counter\.fail/);
    expect(stderr).toContain('  caused by TypeError: the deeper reason');
    expect(stderr).not.toMatch(/activation|running-call|holdfast\/dev\//);
  });

  it('are one JSON document on stderr where that is asked for', async () => {
    const { exitCode, stderr } = await home.run(['call', counter, 'e', 'fail', '["no stock"]', '--json']);
    expect(exitCode).toBe(1);
    const cause = { name: 'RangeError', message: 'no stock', cause: { name: 'TypeError' } };
    expect(JSON.parse(stderr)).toMatchObject({ error: { code: 'UserError', outcome: 'ran', cause } });
  });

  const nowhere = ['--endpoint', '127.0.0.1:1', '--token', 'hft.default.none.none'];
  it.each([
    [2, 'InvalidArgument', ['call', counter, 'e', 'add', '5']],
    [2, 'InvalidArgument', ['call', counter]],
    [2, 'InvalidArgument', ['call', counter, 'e', 'say']],
    [2, 'InvalidArgument', ['attach', import.meta.filename, 'add']],
    [2, 'InvalidArgument', ['cal']],
    [2, 'InvalidArgument', ['ps', '--limit', 'x']],
    [2, 'InvalidArgument', ['deploy', 'no-such-file.ts']],
    [3, 'NotFound', ['call', counter, 'e', 'nothing']],
    [3, 'NotFound', ['call', 'shop/Nothing', 'e', 'add']],
    [3, 'NotFound', ['inspect', counter, 'never made']],
    [3, 'FileNotFound', ['attach', '@no-such-file', 'add']],
    [4, 'Unavailable', ['ps', ...nowhere]],
    [5, 'DeadlineExceeded', ['call', counter, 'e', 'wait', '[60000]', '--timeout', '200']],
    [6, 'Unauthenticated', ['ps', '--token', 'hft.default.none.none']],
  ] as const)('end with %i for %s: holdfast %j', async (exitCode, code, args) => {
    const finished = await home.run([...args]);
    expect(finished).toMatchObject({ exitCode, stdout: '' });
    expect(finished.stderr).toMatch(new RegExp(`^error ${code}: \\S`));
  });
});

describe('help', () => {
  it('about a command that is not there says so', async () => {
    const { exitCode, stderr } = await home.run(['help', 'cal']);
    expect(exitCode).toBe(2);
    expect(stderr).toMatch(/^error InvalidArgument: there is no command 'cal'/m);
  });
});

describe('a class that is not exported', () => {
  it('is deployed and called as any other', async () => {
    const file = join(home.folder, 'hidden.ts');
    const declared = `@app.cls() class Hidden { @method() greet(name: string) { return name; } }`;
    writeFileSync(file, `import { App, method } from 'holdfast';\nconst app = new App('hidden');\n${declared}\n`);
    expect(await home.json('deploy', file)).toMatchObject({ app: 'hidden', classes: ['Hidden'] });
    expect(await home.out('call', 'hidden/Hidden', 'one', 'greet', '["Ada"]')).toBe('Ada');
  });
});

describe('handles', () => {
  it('reach their instance from a file, from stdin and as text, and end with it', async () => {
    const handle = await home.out('handle', counter, 'held');
    const file = join(home.folder, 'handle.json');
    writeFileSync(file, handle);
    expect(await home.out('attach', `@${file}`, 'add')).toBe('1');
    expect(await home.run(['attach', '-', 'add'], { stdin: handle })).toMatchObject({ exitCode: 0, stdout: '2\n' });
    expect(await home.out('attach', handle, 'add', '[8]')).toBe('10');
    expect(await home.out('close', counter, 'held')).toContain('its exit hooks ran');
    const gone = await home.run(['attach', handle, 'add']);
    expect(gone).toMatchObject({ exitCode: 3 });
    expect(gone.stderr).toMatch(/^error InstanceGone: /);
  });

  it('that are forged are refused', async () => {
    const handle = JSON.parse(await home.out('handle', counter, 'forged'));
    const forged = JSON.stringify({ ...handle, id: 'another' });
    expect(await home.run(['attach', forged, 'add'])).toMatchObject({ exitCode: 6 });
  });
});

describe('what there is', () => {
  it('is listed for people within 80 columns and for programs as JSON', async () => {
    await home.out('call', counter, 'listed', 'add');
    const table = await home.out('ps', counter);
    expect(table.split('\n')[0]).toMatch(/^APP\/CLASS +INSTANCE +STATE +WORKER/);
    expect(table).toMatch(/^shop\/Counter +listed +active +dev /m);
    const instances = (await home.json('ps', counter)) as { id: string }[];
    expect(instances.find(({ id }) => id === 'listed')).toMatchObject({
      app: 'shop',
      name: 'Counter',
      state: 'active',
    });
    expect(await home.json('apps')).toContainEqual(
      expect.objectContaining({ name: 'shop', resources: ['Counter', 'Greeter', 'shell'] }),
    );
    expect(await home.json('workers')).toMatchObject([
      { id: 'dev', state: 'ready', offer: { cpuCores: expect.any(Number) } },
    ]);
    for (const command of ['workers', 'apps']) {
      for (const line of (await home.out(command)).split('\n')) expect(line.length).toBeLessThanOrEqual(80);
    }
  });

  it('can be inspected and explained', async () => {
    await home.out('call', counter, 'seen', 'add');
    expect(await home.out('inspect', counter, 'seen')).toMatch(/^shop\/Counter\/seen {2}active\n {2}worker +dev\n/);
    expect(await home.out('inspect', counter, 'seen', '--explain')).toMatch(/none → placing: /);
    expect(await home.json('inspect', counter, 'seen', '--explain')).toMatchObject({
      info: { id: 'seen', state: 'active', restarts: 0 },
      placement: { chosen: 'dev' },
      transitions: [
        { from: 'none', to: 'placing' },
        { from: 'placing', to: 'active' },
      ],
    });
  });

  it('has logs, which can be followed', async () => {
    await using follower = home.start(['logs', `${counter}/talker`, '--follow', '--json']);
    await home.out('call', counter, 'talker', 'say', '["good morning"]');
    const line = JSON.parse(await follower.line(/good morning/));
    expect(line).toMatchObject({ app: 'shop', id: 'talker', message: 'good morning', fields: { length: 12 } });
    follower.signal('SIGINT');
    expect(await follower.ended).toBe(0);
    expect(await home.out('logs', `${counter}/talker`)).toMatch(/shop\/Counter\/talker good morning length=12$/m);
    expect(await dev.line(/talker good morning/)).toContain('length=12');
    expect(await home.run(['logs', 'nothing'])).toMatchObject({ exitCode: 0, stderr: 'no lines of nothing\n' });
  });
});

describe('tokens', () => {
  it('are made, hold their role, and can be revoked', async () => {
    const { stdout, stderr } = await home.run(['token', 'create', '--role', 'read', '--label', 'dashboard']);
    const token = stdout.trim();
    expect(token).toMatch(/^hft\.default\./);
    const id = /token (\S+), role read/.exec(stderr)?.[1] ?? '';
    expect(await home.out('ps', '--token', token)).toContain('shop/Counter');
    const refused = await home.run(['call', counter, 'one', 'add', '--token', token]);
    expect(refused).toMatchObject({ exitCode: 6, stdout: '' });
    expect(refused.stderr).toMatch(/^error PermissionDenied: /);
    expect(await home.out('token', 'ls')).toMatch(new RegExp(`^${id} +read .* dashboard$`, 'm'));
    expect(await home.out('token', 'revoke', id)).toBe(`revoked ${id}`);
    expect(await home.run(['token', 'revoke', id])).toMatchObject({ exitCode: 3 });
  });
});

describe('a change of the module', () => {
  it('is deployed, and instances move to it; a mistake is shown and the next save deploys again', async () => {
    const source = readFileSync(module, 'utf8');
    expect(await home.out('call', counter, 'changed', 'add')).toBe('1');
    save(source.replace('by = 1', 'by = 100'));
    await dev.line(/app\.ts changed: deployed shop, deployment 2$/);
    expect(await home.out('call', counter, 'changed', 'add')).toBe('100');
    save('export const broken = ;');
    expect(await dev.line(/^error InvalidArgument: /)).toContain('app.ts:1:23');
    save(source);
    await dev.line(/app\.ts changed: deployed shop, deployment 3$/);
    expect(await home.out('call', counter, 'changed', 'add')).toBe('1');
    expect(dev.output).toContain('counter ends: redeploy');
  });
});

describe('a module with several apps', () => {
  it('is one app of a cluster, which is named', async () => {
    await using other = new Home();
    const file = join(other.folder, 'two.ts');
    const declared = ['one', 'two'].map((name) => {
      const header = `const ${name} = new App('${name}');`;
      return `${header} @${name}.cls({ name: '${name}-class' }) class ${name}Class { @method() hi() { return 1; } }`;
    });
    writeFileSync(file, `import { App, method } from 'holdfast';\n${declared.join('\n')}\n`);
    await using running = other.start(['dev', file, '--app', 'two', '--listen', '127.0.0.1:0']);
    expect(await running.line(/ app /)).toMatch(/two, deployment 1: two-class$/);
    const unnamed = await other.run(['deploy', file]);
    expect(unnamed.stderr).toMatch(/several apps: 'one', 'two'; .*--app/);
  });
});

describe('the end of holdfast dev', () => {
  it('lets a running call finish, runs exit hooks, leaves nothing behind, and the data stays', async () => {
    const call = home.start(['call', counter, 'last', 'wait', '[1500]']);
    // A call that is still on its way when the drain begins would look for another worker, and there is none.
    await dev.line(/Counter\/last counter waits/);
    dev.signal('SIGINT');
    expect(await dev.ended).toBe(0);
    expect(await call.ended).toBe(0);
    expect(call.output).toBe('waited\n');
    expect(dev.output).toContain('counter ends: drain');
    expect(existsSync(stateFile)).toBe(false);
    const { exitCode, stderr } = await home.run(['ps']);
    expect(exitCode).toBe(2);
    expect(stderr).toContain('start one with `holdfast dev`');

    dev = home.start(['dev', module, '--listen', '127.0.0.1:0', '--json']);
    expect(JSON.parse(await dev.line(/dev\.deployed/))).toMatchObject({
      app: 'shop',
      classes: ['Counter', 'Greeter', 'shell'],
    });
    const instances = await instancesOfCounter();
    expect(instances.find(({ id }) => id === 'last')).toMatchObject({ state: 'idle' });
  });
});

async function instancesOfCounter(): Promise<{ readonly id: string }[]> {
  return (await home.json('ps', counter)) as { id: string }[];
}

/** As editors do: another file in its place. */
function save(source: string): void {
  writeFileSync(`${module}.new`, source);
  renameSync(`${module}.new`, module);
}
