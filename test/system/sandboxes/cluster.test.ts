import { networkInterfaces } from 'node:os';
import type { SandboxSession, SandboxStreamEvent } from 'holdfast';
import type { ClusterProcess } from 'holdfast/testing';
import { describe, expect } from 'vitest';
import { isolatedTest as test } from '../../isolated-test.js';
import { clientProcess } from '../client-process.js';
import { type HostTraces, leftOf, tracesOf, tracesOfWorker, watchdogOf } from './host-traces.js';
import { codeOf, collect, errorOf, fileIn, sandboxWorld, textOf, until } from './sandbox-world.js';

// Real servers, every part a process of its own. Who takes a worker away adds it first.
const world = sandboxWorld({ mode: 'real', routers: 2, workers: 2 });

let words = 0;

/** A shell's command that ends when the one that it leaves behind runs. */
function inBackground(command: string): string {
  return `${command} >/dev/null 2>&1 & until [ "$(cat /proc/$!/comm)" = sleep ]; do sleep 0.01; done`;
}

/** What `sleep` takes for a long time, and no other process of this host has. */
function uniqueSleep(): string {
  words += 1;
  return `100000.${process.pid}${words}`;
}

/** Sessions at one worker, one of which is kept elsewhere. */
async function sessionsAt(worker: ClusterProcess, count: number, make = () => world.app.shell.create()) {
  const here: SandboxSession[] = [];
  const elsewhere: SandboxSession[] = [];
  while (here.length < count || elsewhere.length === 0) {
    const session = await make();
    ((await session.inspect()).workerId === worker.id ? here : elsewhere).push(session);
  }
  return { here, elsewhere };
}

/** Of this host on a network that others are on. */
function ownAddress(): string {
  const all = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  return all.find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? '127.0.0.2';
}

async function gone(traces: HostTraces): Promise<void> {
  await until(
    async () => leftOf(traces).length === 0,
    () => leftOf(traces),
  );
}

describe('sessions of a cluster', () => {
  test('are made on several workers, found by their names, and listed with their tags', async () => {
    const { app } = world;
    const tag = `t${process.pid}`;
    const named = await app.shell.named('everywhere', { cwd: '/job', tags: [tag] });
    await named.writeText('note', 'here');
    const made = await Promise.all(Array.from({ length: 6 }, () => app.shell.create({ tags: [tag] })));
    const infos = await Promise.all(made.map((session) => session.inspect()));
    expect(new Set(infos.map(({ workerId }) => workerId)).size).toBeGreaterThan(1);
    const names = await Promise.all(made.map(async (session) => (await session.exec(['echo', session.id])).stdout));
    expect(names).toEqual(made.map(({ id }) => `${id}\n`));
    const joined = await app.shell.named('everywhere');
    expect(await joined.readText('note')).toBe('here');
    const listed = await collect(app.shell.list({ tags: [tag] }));
    expect(listed[0]).toMatchObject({ id: 'everywhere', cwd: '/job', state: 'active' });
    expect(listed.map(({ id }) => id).toSorted()).toEqual([...made, named].map(({ id }) => id).toSorted());
    for (const session of [...made, named]) expect((await session.close()).closed).toBe(true);
    expect(await collect(app.shell.list({ tags: [tag] }))).toEqual([]);
  });

  test('are attached to by another process, whose command is read on from any offset when that is killed', async () => {
    await using session = await world.app.shell.create();
    const line =
      'for i in 1 2 3; do echo line $i; while [ $i = 2 ] && [ ! -e /tmp/go ]; do sleep 0.01; done; done; exit 7';
    const other = clientProcess(world.cluster, 'session-client.mjs', [session.handleJson, line]);
    const pid = Number(await other.lineAfter('pid '));
    const child = await session.process(pid);
    const events = child.output()[Symbol.asyncIterator]();
    let said = '';
    while (!said.includes('line 2\n')) said += textOf([(await events.next()).value as SandboxStreamEvent]);
    await other.kill();
    await session.writeText('/tmp/go', '');
    for (let step = await events.next(); !step.done; step = await events.next()) said += textOf([step.value]);
    expect(said).toBe('line 1\nline 2\nline 3\n');
    const offset = 'line 1\n'.length;
    const again = await collect(child.output({ fromOffset: offset }));
    expect(textOf(again)).toBe('line 2\nline 3\n');
    expect(again[1]).toMatchObject({ type: 'stdout', offset });
    expect(await child.wait()).toMatchObject({ exitCode: 7, stdout: said });
    expect((await session.exec('echo $ATTACHED; cat /tmp/from', { shell: true })).stdout).toMatch(
      /^(\d+)\nprocess \1$/,
    );
  });

  test('tell what runs in them, and leave nothing on their host when they are closed', async () => {
    const session = await world.app.shell.create();
    const [running, daemon] = [uniqueSleep(), uniqueSleep()];
    await session.spawn(['sleep', running]);
    await session.exec(inBackground(`setsid sleep ${daemon}`), { shell: true });
    await session.exec(['head', '-c', '3000000', '/dev/zero'], { check: true });
    await session.writeBytes('/tmp/file', Buffer.alloc(1_000_000));
    // A command is answered before its slot is free.
    await until(async () => (await session.inspect()).running === 1);
    const info = await session.inspect();
    const commands = info.processes.map(({ command }) => command.join(' '));
    expect(commands).toEqual(expect.arrayContaining([`sleep ${running}`, `sleep ${daemon}`]));
    expect(info).toMatchObject({ state: 'active', running: 1, pending: 0, restarts: 0 });
    expect(info.memoryBytes).toBeGreaterThan(100_000);
    const traces = tracesOf(running);
    expect(tracesOf(daemon)).toEqual(traces);
    expect([traces.processes.length > 0, traces.files.length]).toEqual([true, 1]);
    expect(traces.cgroups.length).toBeGreaterThan(0);
    expect(leftOf(traces).length).toBeGreaterThan(4);
    expect(await session.close({ force: true })).toMatchObject({ closed: true });
    await gone(traces);
  });

  test('sleep without processes and cgroups, with their files, and are woken by the next call', async () => {
    const session = await world.app.shell.create({ idleTimeoutMs: 200, cwd: '/job' });
    const word = uniqueSleep();
    // It does not fall asleep while a command runs.
    const held = session.execStream(['sleep', '1000'])[Symbol.asyncIterator]();
    await held.next();
    await session.writeText('note', 'kept');
    await session.exec(inBackground(`sleep ${word}`), { shell: true });
    const { files, ...processes } = tracesOf(word);
    const before = await session.inspect();
    await held.return?.();
    await until(async () => (await session.inspect()).state === 'idle');
    await gone({ ...processes, files: [] });
    expect(files.map((file) => leftOf({ processes: [], cgroups: [], files: [file] }))).toEqual([files]);
    expect(await session.readText('note')).toBe('kept');
    const after = await session.inspect();
    expect([after.workerId, after.generation]).toEqual([before.workerId, before.generation]);
    expect(after.epoch).toBeGreaterThan(before.epoch);
    expect((await session.exec(['ps', 'ax'])).stdout).not.toContain(word);
    await until(async () => (await session.inspect()).state === 'idle');
    expect((await session.close()).closed).toBe(true);
    await gone({ ...processes, files });
  });

  test('end at their lifetime, asleep or at work, and leave nothing', async () => {
    const busy = await world.app.shell.create({ lifetimeMs: 5_000 });
    const asleep = await world.app.shell.create({ lifetimeMs: 5_000, idleTimeoutMs: 100 });
    const word = uniqueSleep();
    const held = asleep.execStream(['sleep', '1000'])[Symbol.asyncIterator]();
    await held.next();
    await asleep.exec(inBackground(`sleep ${word}`), { shell: true });
    const traces = tracesOf(word);
    await held.return?.();
    expect(await codeOf(busy.exec(['sleep', '1000']))).toBe('InstanceClosed');
    for (const session of [busy, asleep]) {
      await until(async () => (await session.inspect()).state === 'closed');
      expect(await codeOf(session.pwd())).toMatch(/^Instance(Gone|Closed)$/);
    }
    await gone(traces);
  });
});

describe('a session that may reach everything', () => {
  test('reaches no router, NATS, Redis, metadata service or other session, whatever it calls them and however it asks', async () => {
    const { cluster, app } = world;
    await using session = await app.shell.create({ network: { outbound: 'all' } });
    await using other = await app.shell.create({ network: { outbound: 'all' } });
    await other.spawn(
      `perl -MIO::Socket::INET -e 'my $s = IO::Socket::INET->new(LocalPort => 5000, Listen => 9) or die; open(F, ">/tmp/up"); close F; while (my $c = $s->accept()) { print $c "HTTP/1.0 200 OK\\r\\n\\r\\nhello"; close $c }'`,
      { shell: true },
    );
    await fileIn(other, '/tmp/up');
    const forwarding = await other.forward(5_000);
    const portOf = (url: string | null): number => Number(/:(\d+)$/.exec(url ?? '')?.[1]);
    const ports = [portOf(cluster.natsUrl), portOf(cluster.redisUrl), portOf(cluster.endpoint), forwarding.localPort];
    expect(ports.every((port) => port > 0)).toBe(true);
    const spellings = ['localhost', '[::1]', '[::ffff:127.0.0.1]', '2130706433', '0.0.0.0'];
    const elsewhere = ['169.254.169.254:80', 'metadata.google.internal:80', '[fd00:ec2::254]:80', '127.0.0.1:5000'];
    const targets = [
      ...ports.flatMap((port) => [`127.0.0.1:${port}`, `${ownAddress()}:${port}`]),
      ...spellings.map((name) => `${name}:${ports[0]}`),
      ...elsewhere,
    ];
    // By CONNECT, as a plain request, through SOCKS, and past all of it; with what curl says of what was refused.
    const ways = [
      { how: '-p -x $http_proxy', refused: [22, 56] },
      { how: '-x $http_proxy', refused: [22] },
      { how: '-x $all_proxy', refused: [97] },
      { how: '', refused: [5, 6, 7] },
    ];
    const tries = targets.flatMap((target) =>
      ways.map(({ how }) => `try '${target}' "${how === '' ? '*' : ''}" ${how}`),
    );
    const curl = 'curl -s -m 20 -f -o /dev/null';
    const { stdout } = await session.exec(
      `try() { target=$1; past=$2; shift 2; ${curl} --noproxy "$past" "$@" "http://$target/"; echo $?; }; ${tries.join('\n')}`,
      { shell: true },
    );
    const ended = stdout.trim().split('\n').map(Number);
    expect(ended).toHaveLength(tries.length);
    const isRefused = (code: number, at: number): boolean => ways[at % ways.length]?.refused.includes(code) === true;
    expect(ended.flatMap((code, at) => (isRefused(code, at) ? [] : [`${tries[at]}: ${code}`]))).toEqual([]);
    expect((await other.exec('curl -s http://127.0.0.1:5000/', { shell: true, env: { http_proxy: '' } })).stdout).toBe(
      'hello',
    );
    await forwarding.close();
  });
});

describe('a worker that is drained', () => {
  test('lets commands finish; its sessions are lost with their files, and others are made elsewhere', async () => {
    const drained = await world.cluster.addWorker();
    const { here, elsewhere } = await sessionsAt(drained, 2);
    const [working, resting] = here as [SandboxSession, SandboxSession];
    const [other] = elsewhere as [SandboxSession];
    await resting.pwd();
    const finishing = working.exec('touch /tmp/on; sleep 1; echo done', { shell: true });
    await fileIn(working, '/tmp/on');
    const traces = tracesOfWorker(drained.pid as number);
    expect(leftOf(traces).length).toBeGreaterThan(4);
    const ending = drained.kill('SIGTERM');
    expect(await finishing).toMatchObject({ stdout: 'done\n', exitCode: 0 });
    await ending;
    for (const session of here) expect((await errorOf(session.pwd())).code).toBe('InstanceLost');
    expect((await other.exec('echo fine')).stdout).toBe('fine\n');
    await using fresh = await world.app.shell.create();
    expect((await fresh.inspect()).workerId).not.toBe(drained.id);
    await gone(traces);
    await Promise.all([...here, ...elsewhere].map((session) => session.close()));
  });
});

describe('a worker that is killed', () => {
  test('loses its sessions: whoever waits is told, those that may be are made anew elsewhere, nothing is left', async () => {
    const { app } = world;
    const victim = await world.cluster.addWorker();
    const { here, elsewhere } = await sessionsAt(victim, 2);
    const [session, asleep] = here as [SandboxSession, SandboxSession];
    const [other] = elsewhere as [SandboxSession];
    const recreated = (await sessionsAt(victim, 1, () => app.lasting.create({ cwd: '/job' })))
      .here[0] as SandboxSession;
    await recreated.writeText('note', 'gone');
    await asleep.exec('true');
    const child = await session.spawn(['sleep', uniqueSleep()]);
    const outcomes = Promise.all([
      errorOf(session.exec('touch /tmp/a; sleep 1000', { shell: true })),
      errorOf(collect(session.execStream('touch /tmp/b; sleep 1000', { shell: true }))),
      errorOf(child.wait()),
      errorOf(collect(child.output())),
      errorOf(collect(session.watch('/tmp'))),
    ]);
    await fileIn(session, '/tmp/a');
    await fileIn(session, '/tmp/b');
    await until(async () => (await session.inspect()).running >= 6);
    const traces = tracesOfWorker(victim.pid as number);
    // By whether its first value had arrived.
    const streamLost = expect.stringMatching(/^(StreamLost|OutcomeUnknown)$/);
    await victim.kill();
    expect((await other.exec('echo fine')).stdout).toBe('fine\n');
    expect((await outcomes).map(({ code }) => code)).toEqual([
      'OutcomeUnknown',
      streamLost,
      'InstanceLost',
      streamLost,
      streamLost,
    ]);
    for (const lost of [session, asleep]) expect(await codeOf(lost.pwd())).toBe('InstanceLost');
    expect(await codeOf(app.shell.attach(session.handle))).toBe('InstanceLost');
    expect(await recreated.pwd()).toBe('/job');
    expect(await recreated.listdir()).toEqual([]);
    expect((await recreated.inspect()).restarts).toBe(1);
    await gone(traces);
    for (const lost of [session, asleep]) expect((await lost.close()).closed).toBe(true);
  });

  test('together with its watchdog leaves what its next start removes', async () => {
    const victim = await world.cluster.addWorker();
    const { here } = await sessionsAt(victim, 1);
    const [session] = here as [SandboxSession];
    await session.writeBytes('/tmp/file', Buffer.alloc(1_000_000));
    const running = errorOf(session.exec(`touch /tmp/on; sleep ${uniqueSleep()}`, { shell: true }));
    await fileIn(session, '/tmp/on');
    const traces = tracesOfWorker(victim.pid as number);
    process.kill(watchdogOf(victim.pid as number), 'SIGKILL');
    await victim.kill();
    expect((await running).code).toBe('OutcomeUnknown');
    await until(async () => leftOf(traces).every((left) => left.startsWith('/')));
    expect(leftOf(traces)).toEqual(expect.arrayContaining([...traces.files]));
    await world.cluster.addWorker({ id: victim.id });
    await gone(traces);
    await using fresh = await world.app.shell.create();
    expect((await fresh.exec('echo fine')).stdout).toBe('fine\n');
  });
});
