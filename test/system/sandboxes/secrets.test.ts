import { type SandboxSession, Secret } from 'holdfast';
import { expect } from 'vitest';
import { isolatedTest as test } from '../../isolated-test.js';
import { codeOf, errorOf, sandboxWorld, until } from './sandbox-world.js';

const world = sandboxWorld();
const needle = 'hf-needle-4713';

function setSecret(name: string, value: string | Record<string, string>): Promise<Secret> {
  return Secret.set(name, value, { client: world.cluster.client });
}

async function seenBy(session: SandboxSession): Promise<string> {
  return (await session.exec('echo $API_TOKEN $DB_USER $OWN', { shell: true })).stdout.trim();
}

test('a session has the secrets of its sandbox, reads them anew when it wakes, and keeps what it has set itself', async () => {
  const { secretive } = world.app;
  const unset = await secretive.create().then(
    (session) => errorOf(session.pwd()),
    (e: unknown) => e,
  );
  expect(unset).toMatchObject({ code: 'NotFound', message: expect.stringContaining('API_TOKEN') });
  await setSecret('API_TOKEN', `${needle}-one`);
  await setSecret('database', { DB_USER: 'ann', DB_PASSWORD: `${needle}-pass` });
  await using session = await secretive.create({ idleTimeoutMs: 100, env: { OWN: 'x' } });
  expect(await seenBy(session)).toBe(`${needle}-one ann x`);
  expect((await session.getEnv())['DB_PASSWORD']).toBe(`${needle}-pass`);
  await session.setEnv({ DB_USER: 'mine' });
  await session.unsetEnv('DB_PASSWORD');
  await setSecret('API_TOKEN', `${needle}-two`);
  await until(async () => (await session.inspect()).state === 'idle');
  expect(await seenBy(session)).toBe(`${needle}-two mine x`);
  expect(await session.getEnv()).not.toHaveProperty('DB_PASSWORD');
});

test('a fork gets the secrets of its sandbox and not those of its original, and another sandbox none', async () => {
  const { secretive, shell } = world.app;
  await setSecret('API_TOKEN', `${needle}-one`);
  await setSecret('database', { DB_USER: 'ann', DB_PASSWORD: `${needle}-pass` });
  await using session = await secretive.create();
  await session.setEnv({ OWN: 'y' });
  await setSecret('API_TOKEN', `${needle}-two`);
  const [fork] = (await session.fork()) as [SandboxSession];
  expect(await seenBy(session)).toBe(`${needle}-one ann y`);
  expect(await seenBy(fork)).toBe(`${needle}-two ann y`);
  await fork.close();
  await using other = await shell.create();
  expect(await seenBy(other)).toBe('');
});

test('a session whose secret was deleted is refused where it would start, with its name', async () => {
  const { secretive } = world.app;
  await Secret.fromName('API_TOKEN').delete({ client: world.cluster.client });
  expect(await codeOf(secretive.create())).toBe('NotFound');
});
