import { beforeEach, expect, it } from 'vitest';
import { systemRandom } from '../../src/adapters/system/clock.js';
import { clientWith, coreOf } from '../../src/sdk/client.js';
import { EphemeralVolume } from '../../src/sdk/volumes/ephemeral.js';
import { VolumeAccess } from '../../src/sdk/volumes/volume-access.js';
import {
  CreateVolumeReply,
  CreateVolumeRequest,
  DeleteVolumeReply,
  ExtendVolumeReply,
} from '../../src/wire/gen/holdfast/v1/router.js';
import { ManualClock } from '../manual-clock.js';

const ttlMs = 30_000;
let clock: ManualClock;
let asked: string[];
let isThere: boolean;

beforeEach(() => {
  [clock, asked, isThere] = [new ManualClock(), [], true];
});

/** A router that keeps nothing but what it was asked. */
function answer(method: string, request: Uint8Array): Uint8Array {
  asked.push(method);
  if (method === 'ExtendVolume') return ExtendVolumeReply.encode({ extended: isThere }).finish();
  if (method === 'DeleteVolume') return DeleteVolumeReply.encode({ deleted: isThere }).finish();
  const { name, id, backend } = CreateVolumeRequest.decode(request);
  const volume = { account: 'a', name, id, backend, geolocation: [], ephemeral: true, createdAtMs: 1 };
  return CreateVolumeReply.encode({ created: true, volume }).finish();
}

async function made(): Promise<{ readonly volume: EphemeralVolume; readonly close: () => Promise<void> }> {
  const none = () => {
    throw new Error('no streams here');
  };
  const client = clientWith({
    transport: {
      ...{ openRouter: none, openWorker: none, close: async () => undefined },
      unary: async (method, request) => answer(method, request),
    },
    ...{ endpoint: 'router:1', clock, random: systemRandom },
  });
  const volume = await EphemeralVolume.make(VolumeAccess.of(coreOf(client)), 'brief', ttlMs);
  return { volume, close: () => client.close() };
}

const renewals = () => asked.filter((method) => method === 'ExtendVolume').length;

/** Lets answers arrive that a timer has asked for. */
async function passed(ms: number): Promise<void> {
  clock.advance(ms);
  await new Promise((resolve) => setImmediate(resolve));
}

it('an ephemeral volume is renewed thrice in its life, and no more once it was ended', async () => {
  const { volume } = await made();
  for (const count of [1, 2, 3, 4]) {
    await passed(ttlMs / 3);
    expect(renewals()).toBe(count);
  }
  await volume.end();
  await passed(ttlMs);
  expect(renewals()).toBe(4);
  expect(asked.at(-1)).toBe('DeleteVolume');
});

it('an ephemeral volume that somebody has deleted, or whose client is closed, is renewed no more', async () => {
  await made();
  isThere = false;
  await passed(ttlMs / 3);
  await passed(ttlMs);
  expect(renewals()).toBe(1);
  isThere = true;
  const { close } = await made();
  await close();
  for (let i = 0; i < 3; i++) await passed(ttlMs / 3);
  expect(renewals()).toBe(1);
});
