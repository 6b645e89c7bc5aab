import { expect } from 'vitest';
import { isolatedTest as test } from '../../isolated-test.js';
import { errorOf } from '../sandboxes/sandbox-world.js';
import { ImageWorld, stepsOf } from './image-world.js';
import { OciFixture, startOciRegistry } from './oci-fixture.js';

const world = new ImageWorld();
const image = new OciFixture([
  { 'srv/kept': 'kept', 'srv/gone': 'x', 'srv/folder/below': 'x', 'etc/hosts': 'theirs', 'opt/tool/old': 'x' },
  { 'srv/.wh.gone': '', 'srv/folder/.wh..wh..opq': '', 'srv/folder/above': 'a', 'opt/.wh.tool': '', 'opt/other': 'o' },
]);
const boxOf = (reference: string) =>
  `export const box = app.sandbox({ name: 'box', image: Image.fromOci('${reference}').copyLocal('more', '/opt/more') });`;

test('an OCI image of a registry is the root, without what its upper layers have removed', async () => {
  await using registry = await startOciRegistry(image);
  await world.write({ more: '' });
  const source = `export const box = app.sandbox({ name: 'box', image: Image.fromOci('${registry.host}/team/thing:1.0') });`;
  const { app, progress } = await world.deploy(source);
  expect(stepsOf(progress)).toEqual([`+0 fromOci(${registry.host}/team/thing:1.0)`]);
  await using session = await app.sandbox('box').create();
  expect(await session.pwd()).toBe('/srv/work');
  expect(await session.getEnv()).toMatchObject({ GREETING: 'a=b', PATH: '/run/holdfast/bin:/opt/bin:/usr/bin' });
  expect(await session.readText('/srv/kept')).toBe('kept');
  expect(await session.exists('/srv/gone')).toBe(false);
  expect(await session.listdir('/srv/folder')).toEqual(['above']);
  expect(await session.listdir('/opt')).toEqual(['other']);
  expect(await session.readText('/etc/hosts')).toContain('localhost');
  await session.writeText('/srv/kept', 'changed');
  const [fork] = await session.fork();
  expect([await fork?.readText('/srv/kept'), await fork?.exists('/srv/gone')]).toEqual(['changed', false]);
  await fork?.close();
  const blobs = (): number => registry.asked.filter((path) => path.includes('/blobs/')).length;
  const before = blobs();
  const again = await world.deploy(source.replace('1.0', `x@${image.indexDigest}`).replace(':x@', '@'));
  expect(again.progress.at(-1)).toMatchObject({ type: 'built', image: (progress.at(-1) as { image?: string }).image });
  // Its configuration, and no layer.
  expect(blobs() - before).toBe(1);
});

test('an OCI image of a layout in a folder is the same, and one that is not there says what is', async () => {
  image.writeLayout(world.path('layout'));
  await using registry = await startOciRegistry(image);
  const local = await world.deploy(
    `export const box = app.sandbox({ name: 'box', image: Image.fromOci('oci:layout:tagged') });`,
  );
  const remote = await world.deploy(
    `export const box = app.sandbox({ name: 'box', image: Image.fromOci('${registry.host}/team/thing:1.0') });`,
  );
  expect(local.progress.at(-1)).toEqual(remote.progress.at(-1));
  const missing = await errorOf(world.deploy(boxOf('oci:layout:other')));
  expect(missing.code).toBe('NotFound');
  expect(missing.message).toContain('it has: tagged');
  expect((await errorOf(world.deploy(boxOf(`${registry.host}/team/thing:2.0`)))).code).toBe('NotFound');
  expect((await errorOf(world.deploy(boxOf(`${registry.host}/Team`)))).code).toBe('InvalidArgument');
});

test('bytes that are not those of their hash are refused, on the way and in a manifest', async () => {
  const other = new OciFixture([{ 'srv/other': 'other' }, { 'srv/more': 'more' }]);
  await using registry = await startOciRegistry(other);
  const layer = [...other.blobs].find(([, bytes]) => bytes.includes('srv/more'))?.[0] as string;
  const bytes = Buffer.from(registry.blobs.get(layer) as Buffer);
  bytes[bytes.indexOf('more\0')] = 0x4d;
  registry.blobs.set(layer, bytes);
  const source = `export const box = app.sandbox({ name: 'box', image: Image.fromOci('${registry.host}/team/thing:1.0') });`;
  const refused = await errorOf(world.deploy(source));
  expect(refused.code).toBe('Unavailable');
  expect(refused.message).toContain(layer);
  registry.blobs.set(other.indexDigest, Buffer.from('{}'));
  const pinned = source.replace('thing:1.0', `thing@${other.indexDigest}`);
  expect((await errorOf(world.deploy(pinned))).message).toContain(other.indexDigest);
});
