import { randomBytes } from 'node:crypto';
import { expect, it } from 'vitest';
import { systemRandom } from '../../../src/adapters/system/clock.js';
import type { Logger } from '../../../src/common/context.js';
import { HoldfastError } from '../../../src/common/errors.js';
import { keepVolumes } from '../../../src/router/volumes/volume-upkeep.js';
import { ManualClock } from '../../manual-clock.js';
import { account, VolumeWorld } from './volume-world.js';

it('a router deletes volumes whose lease is over, also after its store was away, and sweeps each hour', async () => {
  await using world = await VolumeWorld.start();
  const { store, objects } = world;
  const gone = await world.volume('gone');
  await world.commit(gone, { a: randomBytes(100_000) });
  await store.volumes.delete(account, 'gone', gone.id);
  await store.volumes.create({ ...gone, name: 'brief', id: 'brief-id', isEphemeral: true }, 1);
  let hear = (_event: string): void => undefined;
  const heard = (event: string): Promise<void> =>
    new Promise((resolve) => {
      hear = (name) => name === event && resolve();
    });
  const note = (event: string): void => hear(event);
  const log: Logger = { debug: note, info: note, warn: note, error: note };
  let isAway = true;
  const expire: typeof store.volumes.expire = async (of) => {
    hear('asked');
    if (isAway) throw new HoldfastError('Unavailable', 'the store is away');
    return await store.volumes.expire(of);
  };
  const clock = new ManualClock();
  const closed = new AbortController();
  const parts = { store: { ...store, volumes: { ...store.volumes, expire } }, objects, clock, random: systemRandom };
  const keeping = keepVolumes({ ...parts, log, accounts: [account] }, closed.signal);

  const asked = heard('asked');
  clock.advance(10_000);
  await asked;
  isAway = false;
  while ((await store.volumes.find(account, 'brief')) !== null);
  while (clock.timers === 0) await new Promise((resolve) => setImmediate(resolve));
  const expired = heard('volume.expired');
  clock.advance(10_000);
  await expired;
  expect(await store.volumes.list(account)).toEqual([]);

  expect(await world.keys()).not.toEqual([]);
  while (clock.timers === 0) await new Promise((resolve) => setImmediate(resolve));
  const swept = heard('volumes.swept');
  clock.jump(2 * 3_600_000);
  clock.advance(10_000);
  await swept;
  expect(await world.keys()).toEqual([]);
  closed.abort();
  await keeping;
});
