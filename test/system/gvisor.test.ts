import { App, type RemoteApp, Secret, Volume } from 'holdfast';
import { startCluster, type TestCluster } from 'holdfast/testing';
import { afterAll, beforeAll, expect } from 'vitest';
import { gvisorTest, hasGvisor } from '../gvisor-test.js';
import { ports, startNeighbour } from '../runtime/outbound/neighbour.js';

type GvisorApp = typeof import('../fixtures/gvisor-app.js');

const neighbour = hasGvisor ? await startNeighbour() : { address: '' };
let cluster: TestCluster;
let app: RemoteApp<GvisorApp>;

beforeAll(async () => {
  if (!hasGvisor) return;
  cluster = await startCluster({ mode: 'embedded', isolation: 'gvisor' });
  await Secret.create('GVISOR_WORD', { GVISOR_WORD: 'whispered' }, { client: cluster.client });
  await cluster.deploy(new URL('../fixtures/gvisor-app.ts', import.meta.url));
  app = await App.lookup<GvisorApp>('gvisor-test', { client: cluster.client });
}, 120_000);

afterAll(() => cluster?.close());

gvisorTest('a class in gVisor has a kernel of its own, its secret, its state, and nothing of the host', async () => {
  const strong = await app.Strong.named('one');
  expect(await strong.surroundings(new URL(import.meta.url).pathname)).toEqual({
    uid: 1000,
    kernel: '4.4.0',
    rights: '0000000000000000',
    secret: 'whispered',
    file: 'ENOENT',
  });
  expect([await strong.add(2), await strong.add(3)]).toEqual([2, 5]);
  const numbers: number[] = [];
  for await (const n of strong.numbers(500)) numbers.push(n);
  expect(numbers).toEqual(Array.from({ length: 500 }, (_, n) => n));
});

gvisorTest('it reaches other hosts by the proxy of its worker, and neither the cluster nor this machine', async () => {
  const strong = await app.Strong.named('two');
  expect(await strong.status(`http://${neighbour.address}:${ports.http}/`)).toBe(200);
  expect(await strong.status(`http://${cluster.endpoint}/`)).toBe('ECONNREFUSED');
  expect(await strong.status('http://169.254.169.254/')).toBe('EACCES');
});

gvisorTest('its hooks run, and what they write to a volume is committed', async () => {
  const strong = await app.Strong.new();
  expect(await strong.add(7)).toBe(7);
  expect(await strong.close()).not.toHaveProperty('error');
  const read = async (path: string): Promise<string> => {
    const pieces: Uint8Array[] = [];
    for await (const piece of Volume.fromName('strong', { client: cluster.client }).readFile(path)) pieces.push(piece);
    return Buffer.concat(pieces).toString();
  };
  expect([await read('entered'), await read('left')]).toEqual(['4.4.0', '7']);
});

gvisorTest('its memory is limited, and another instance goes on', async () => {
  const [greedy, other] = [await app.Strong.named('greedy'), await app.Strong.named('other')];
  expect(await other.add(1)).toBe(1);
  await expect(greedy.eat()).rejects.toMatchObject({ code: 'OutOfMemory' });
  expect(await other.add(1)).toBe(2);
});

gvisorTest('it has the files of its image', async () => {
  expect(await (await app.Imaged.named('one')).made()).toBe('made\n');
});
