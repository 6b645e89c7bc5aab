import { existsSync } from 'node:fs';
import { symlink, writeFile } from 'node:fs/promises';
import { App } from 'holdfast';
import { describe, expect } from 'vitest';
import { isolatedTest as test } from '../../isolated-test.js';
import { errorOf } from '../sandboxes/sandbox-world.js';
import { ImageWorld, outputOf, stepsOf } from './image-world.js';

const world = new ImageWorld();

describe('an image', () => {
  test('has what its steps have made, and sandboxes its directory and variables', async () => {
    await world.write({ 'data/deep/a': 'A', 'data/b.sh': '#!/bin/sh\necho ran', 'one.txt': 'one' });
    await symlink('deep/a', world.path('data/link'));
    const { app, progress } = await world.deploy(`
      const image = Image.host()
        .run('mkdir /opt/made && echo made > /opt/made/file', 'chown 7:7 /opt/made/file && id -u')
        .env({ STAGE: 'test', GREETING: 'a b' })
        .workdir('/job/here')
        .run('echo $STAGE > stage')
        .copyLocal('data', '/srv/data')
        .copyLocal('one.txt', '/srv/')
        .copyLocal('one.txt', '/srv/other');
      export const box = app.sandbox({ name: 'box', image });`);
    expect(stepsOf(progress)[0]).toBe("+0 the host's programs");
    expect(outputOf(progress)).toContain('0\n');
    expect(progress.at(-1)).toMatchObject({ type: 'built', resources: ['box'] });
    await using session = await app.sandbox('box').create();
    expect(await session.pwd()).toBe('/job/here');
    expect(await session.getEnv()).toMatchObject({ STAGE: 'test', GREETING: 'a b', HOME: '/root' });
    const shell = async (line: string) => (await session.exec(line, { shell: true, check: true })).stdout;
    expect(await shell('cat stage /opt/made/file /srv/data/link /srv/one.txt /srv/other')).toBe('test\nmade\nAoneone');
    expect(await shell('id -u; stat -c %a /srv/data/b.sh; touch /opt/made/new && echo own')).toBe('1000\n644\nown\n');
    const [fork] = await session.fork();
    expect(await fork?.pwd()).toBe('/job/here');
    expect((await fork?.exec('echo $STAGE; ls /opt/made', { shell: true }))?.stdout).toBe('test\nfile\nnew\n');
    await fork?.close();
  });

  test('is built once for its content, and from the first step that is another one', async () => {
    await world.write({ 'copied/a': '1' });
    const image = (last: string) => `
      export const box = app.sandbox({ name: 'box', image: Image.host().run('date +%N > /opt/at')
        .copyLocal('copied', '/opt/copied').run('${last}') });`;
    const first = await world.deploy(image('true'));
    const again = await world.deploy(image('true'));
    expect(stepsOf(again.progress).every((step) => step.startsWith(' '))).toBe(true);
    expect(again.progress.at(-1)).toEqual(first.progress.at(-1));
    const other = await world.deploy(image('echo other'));
    expect(stepsOf(other.progress).map((step) => step[0])).toEqual([' ', ' ', ' ', '+']);
    await writeFile(world.path('copied/a'), '2');
    const changed = await world.deploy(image('true'));
    expect(stepsOf(changed.progress).map((step) => step[0])).toEqual([' ', ' ', '+', '+']);
    const read = async ({ app }: typeof first) => {
      await using session = await app.sandbox('box').create();
      return (await session.exec('cat /opt/at /opt/copied/a', { check: true })).stdout;
    };
    expect(await read(other)).toBe(await read(first));
    expect(await read(changed)).toBe((await read(first)).replace(/1$/, '2'));
  });

  test('that two deploy at once is built by one of them, and both are told of it', async () => {
    const source = `export const box = app.sandbox({ name: 'box', image: Image.host().run('date +%N; sleep 1; date +%N > /opt/at') });`;
    const [one, two] = await Promise.all([world.deploy(source), world.deploy(source)]);
    expect(one.progress.at(-1)).toEqual(two.progress.at(-1));
    const printed = [outputOf(one.progress), outputOf(two.progress)].filter((text) => text !== '');
    expect(new Set(printed).size).toBe(1);
  });

  test('that cannot be built fails the deploy, with the step and what it printed, and nothing is published', async () => {
    const { client } = world.cluster;
    const before = (await client.apps()).length;
    const failed = await errorOf(
      world.deploy(
        `export const box = app.sandbox({ name: 'box', image: Image.host().run('true').run('echo why >&2; exit 7') });`,
      ),
    );
    expect(failed.code).toBe('CommandFailed');
    expect(failed.message).toContain('step 2 of 2, run(echo why >&2; exit 7): it ended with 7: why');
    expect(failed.details).toMatchObject({ step: 2, exitCode: 7, output: 'why' });
    const missing = await errorOf(
      world.deploy(`export const box = app.sandbox({ name: 'box', image: Image.host().copyLocal('nowhere', '/x') });`),
    );
    expect(missing.code).toBe('InvalidArgument');
    expect(missing.message).toContain('/nowhere is not there');
    expect((await client.apps()).length).toBe(before);
  });

  test('whose deploy is cancelled is given up, and can be built again', async () => {
    const stop = new AbortController();
    const marker = '/opt/marker';
    const source = (line: string) =>
      `export const box = app.sandbox({ name: 'box', image: Image.host().run('echo begun > ${marker}; ${line}') });`;
    const deploying = errorOf(
      world.deploy(source('echo now; while [ ! -e /opt/never ]; do sleep 0.05; done'), stop.signal),
    );
    stop.abort();
    expect((await deploying).code).toBe('Cancelled');
    const { app } = await world.deploy(source('true'));
    await using session = await app.sandbox('box').create();
    expect(await session.readText(marker)).toBe('begun\n');
  });
});

describe('a class in an image', () => {
  test('has its files, its directory and its variables', async () => {
    const { app } = await world.deploy(`
      const image = Image.host().run('echo model > /opt/weights').env({ LEVEL: '3' }).workdir('/job');
      @app.cls({ image })
      export class Model {
        @method() async look() {
          const { readFile } = await import('node:fs/promises');
          return [await readFile('/opt/weights', 'utf8'), process.env.LEVEL, process.cwd()];
        }
      }`);
    const model = await app.cls('Model').named('a');
    const look = (model as unknown as { look(): Promise<unknown> }).look;
    expect(await look()).toEqual(['model\n', '3', '/job']);
    expect(existsSync('/opt/weights')).toBe(false);
    // Those that were prepared for a class have no image.
    for (const id of ['b', 'c']) {
      const other = await app.cls('Model').named(id);
      expect(await (other as unknown as { look(): Promise<unknown> }).look()).toEqual(['model\n', '3', '/job']);
      await other.close();
    }
    await model.close();
  });
});

describe('images of an account', () => {
  test('are listed with who needs them, and those that nobody needs are collected', async () => {
    const { deployment, progress } = await world.deploy(`
      export const box = app.sandbox({ name: 'box', image: Image.host().run('echo listed > /opt/listed') });`);
    const built = progress.at(-1);
    const id = built?.type === 'built' ? built.image : '';
    const list = async () => (await world.command('image', 'ls')) as { id: string; resources: string[] }[];
    const found = (await list()).find((image) => image.id === id);
    expect(found).toMatchObject({ base: 'host', layers: 1, resources: [`${deployment.app}/box`] });
    const swept = (await world.command('image', 'gc', '--keep-days', '0')) as Record<string, number>;
    expect(swept['imagesRemoved']).toBeGreaterThan(0);
    const left = await list();
    expect(left).toHaveLength(swept['imagesKept'] as number);
    expect(left.every(({ resources }) => resources.length > 0)).toBe(true);
    const app = await App.lookup(deployment.app, { client: world.cluster.client });
    await using session = await app.sandbox('box').create();
    expect(await session.readText('/opt/listed')).toBe('listed\n');
  });
});
