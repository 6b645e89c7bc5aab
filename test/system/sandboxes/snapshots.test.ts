import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { App, Image, type SandboxSession } from 'holdfast';
import { describe, expect } from 'vitest';
import { isolatedTest as test } from '../../isolated-test.js';
import { codeOf, errorOf, fileIn, sandboxWorld, until } from './sandbox-world.js';

const world = sandboxWorld();

async function textOf(session: SandboxSession, command: string): Promise<string> {
  return (await session.exec(command, { shell: true, check: true })).stdout;
}

/** Deploys a module of this text. */
async function deployed(source: string): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-snapshots-'));
  try {
    await writeFile(join(folder, 'app.mjs'), source);
    await world.cluster.deploy(join(folder, 'app.mjs'));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

describe('a fork', () => {
  test('has the files, the directory and the variables of its original, and goes its own way', async () => {
    await using session = await world.app.shell.create({ cwd: '/job', env: { A: 1, GONE: 1 }, tags: ['forked'] });
    await session.writeText('note', 'one');
    await session.exec('mkdir -p deep && ln -s ../note deep/link && chmod 640 note', { shell: true, check: true });
    await session.setEnv({ B: 2 });
    await session.unsetEnv('GONE', 'LANG');
    await session.chdir('deep');
    await session.spawn(['sleep', '1000']);
    const [first, second] = (await session.fork({ count: 2 })) as [SandboxSession, SandboxSession];
    for (const fork of [first, second]) {
      expect(fork.id).not.toBe(session.id);
      expect(await fork.pwd()).toBe('/job/deep');
      expect(await fork.readText('link')).toBe('one');
      expect((await fork.stat('../note')).mode & 0o777).toBe(0o640);
      expect(await fork.getEnv()).toEqual(await session.getEnv());
      const info = await fork.inspect();
      expect([info.processes, info.tags]).toEqual([[], ['forked']]);
    }
    await first.writeText('link', 'two');
    await first.remove('/job/deep/link');
    expect(await second.readText('/job/note')).toBe('one');
    expect(await session.readText('/job/note')).toBe('one');
    const [grandchild] = (await first.fork()) as [SandboxSession];
    expect(await grandchild.readText('/job/note')).toBe('two');
    expect(await grandchild.listdir('/job/deep')).toEqual([]);
    for (const fork of [first, second, grandchild]) {
      expect((await fork.close()).closed).toBe(true);
    }
  });

  test('of a fork that changed nothing works as well', async () => {
    await using session = await world.app.shell.create();
    await session.writeText('/srv/a', 'x');
    let last: SandboxSession = session;
    for (let depth = 0; depth < 3; depth += 1) {
      const [next] = (await last.fork()) as [SandboxSession];
      expect(await next.readText('/srv/a')).toBe('x');
      if (last !== session) await last.close();
      last = next;
    }
    await last.close();
  });

  test('is refused with a count that is none, and of a session that is over', async () => {
    const session = await world.app.shell.create();
    expect(await codeOf(session.fork({ count: 0 }))).toBe('InvalidArgument');
    await session.close();
    expect(await codeOf(session.fork())).toBe('InstanceGone');
    expect(await codeOf(session.snapshot())).toBe('InstanceGone');
  });
});

describe('a snapshot', () => {
  test('is an image for any sandbox of the account, also when its session is gone', async () => {
    const session = await world.app.shell.create();
    await session.writeText('/opt/tool', '#!/bin/sh\necho tooled\n');
    await session.exec('chmod +x /opt/tool; echo 10.1.2.3 elsewhere >> /etc/hosts', { shell: true, check: true });
    const image = await session.snapshot();
    expect(image).toBeInstanceOf(Image);
    expect((await session.snapshot()).id).toBe(image.id);
    await session.close();

    await deployed(`import { App, Image } from 'holdfast';
      export const app = new App('imaged');
      export const tooled = app.sandbox({ name: 'tooled', image: Image.fromId('${image.id}') });
      export const missing = app.sandbox({ name: 'missing', image: Image.fromId('${'0'.repeat(64)}') });`);
    const imaged = await App.lookup('imaged', { client: world.cluster.client });
    const tooled = imaged.sandbox('tooled');
    const sessions = [await tooled.create(), await tooled.create(), await tooled.named('x')] as const;
    for (const each of sessions) {
      expect(await textOf(each, '/opt/tool; tail -n 1 /etc/hosts')).toBe('tooled\n10.1.2.3 elsewhere\n');
      await each.writeText('/opt/own', each.id);
    }
    expect(await sessions[0].readText('/opt/own')).toBe(sessions[0].id);
    expect((await tooled.inspect()).options).toMatchObject({ image: image.id });
    await until(async () => {
      const askedAt = Number((await readFile('/proc/uptime', 'utf8')).split(' ')[0]);
      await using one = await tooled.create();
      expect(await textOf(one, '/opt/tool; ls /opt')).toBe('tooled\ntool\n');
      // Ticks of a hundredth of a second.
      const startedAt = Number(await textOf(one, "sed 's/.*) //' /proc/1/stat | cut -d ' ' -f 20")) / 100;
      return startedAt < askedAt - 0.02;
    });
    const missing = await imaged.sandbox('missing').create();
    const refused = await errorOf(missing.pwd());
    expect(refused.code).toBe('NotFound');
    expect(refused.message).toContain('image 0000');
    await Promise.all([...sessions, missing].map((each) => each.close()));
  });

  test('waits for no command, and shows one moment of a session that writes on', async () => {
    await using session = await world.app.shell.create({ cwd: '/job' });
    const loop = 'i=0; while :; do i=$((i+1)); echo $i > n; mv n a; echo $i > n; mv n b; done';
    await session.spawn(loop, { shell: true });
    await fileIn(session, '/job/b');
    const [fork] = (await session.fork()) as [SandboxSession];
    const [a, b] = (await textOf(fork, 'cat a b')).split('\n').map(Number) as [number, number];
    expect([a, a - 1]).toContain(b);
    await fork.close();
  });

  test('can be cancelled, and does not hold up a forced close', async () => {
    const session = await world.app.shell.create();
    await session.exec('head -c 60000000 /dev/urandom > /srv/large', { shell: true, check: true });
    const taking = codeOf(session.snapshot());
    await session.close({ force: true });
    expect(await taking).toMatch(/^Instance(Closed|Gone)$|^OutcomeUnknown$/);
  });

  test('of a session that sleeps wakes it, and a fork sleeps and wakes like any other', async () => {
    await using session = await world.app.shell.create({ idleTimeoutMs: 100, cwd: '/job' });
    await session.writeText('note', 'kept');
    const state = async (of: SandboxSession) => (await of.inspect()).state;
    while ((await state(session)) !== 'idle');
    const [fork] = (await session.fork()) as [SandboxSession];
    await fork.writeText('own', 'mine');
    while ((await state(fork)) !== 'idle');
    expect(await textOf(fork, 'cat note own')).toBe('keptmine');
    await fork.close();
  });
});
