import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemRandom } from '../../../src/adapters/system/clock.js';
import { listSigningKeys, retireSigningKey, rotateSigningKey } from '../../../src/router/service/key-rotation.js';
import type { Principal } from '../../../src/router/service/request.js';
import { SigningKeys } from '../../../src/router/service/signing-keys.js';
import { signHandle, verifyHandle } from '../../../src/wire/handle.js';
import { ManualClock } from '../../manual-clock.js';
import { account, Harness, refusal } from '../harness.js';

const deployer: Principal = { kind: 'client', account, role: 'deploy' };
let cluster: Harness;
let clock: ManualClock;
let keys: SigningKeys;
let other: SigningKeys;

beforeEach(async () => {
  cluster = await Harness.start({ routers: 0, workers: 0 });
  clock = new ManualClock();
  const parts = { store: cluster.store.keys, clock, random: systemRandom };
  [keys, other] = [new SigningKeys(parts), new SigningKeys(parts)];
});

afterEach(() => cluster[Symbol.asyncDispose]());

async function handleBy(by: SigningKeys) {
  const identity = { v: 1, kind: 'class', account, app: 'shop', name: 'Counter', id: 'a', generation: 1 } as const;
  return signHandle(await by.signer(account), identity);
}

const check = (by: SigningKeys, handle: Awaited<ReturnType<typeof handleBy>>) =>
  by.verify(account, (all) => verifyHandle(all, handle));

describe('signing keys', () => {
  it('sign half a minute after they were made, when every worker has read them', async () => {
    const first = await keys.signer(account);
    clock.advance(1);
    const { id, signsFromMs } = await rotateSigningKey(keys, deployer);
    expect(signsFromMs).toBe(clock.now() + 30_000);
    expect(await keys.signer(account)).toEqual(first);
    clock.advance(29_999);
    expect(await keys.signer(account)).toEqual(first);
    clock.advance(1);
    expect((await keys.signer(account)).id).toBe(id);
    clock.advance(60_000);
    expect((await other.signer(account)).id).toBe(id);
  });

  it('verify what they signed before until they are retired, at every router', async () => {
    const old = await handleBy(keys);
    const first = (await keys.signer(account)).id;
    clock.advance(1);
    await rotateSigningKey(keys, deployer);
    clock.advance(60_000);
    const fresh = await handleBy(keys);
    expect(fresh.signature.split('.')[0]).not.toBe(first);
    for (const router of [keys, other]) for (const handle of [old, fresh]) await check(router, handle);
    expect(await retireSigningKey(keys, { id: first }, deployer)).toEqual({ retired: true });
    expect(await retireSigningKey(keys, { id: first }, deployer)).toEqual({ retired: false });
    clock.advance(60_000);
    for (const router of [keys, other]) {
      await check(router, fresh);
      expect(await refusal(check(router, old))).toMatchObject({ code: 'PermissionDenied' });
    }
  });

  it('are listed without their secrets, and the one that signs cannot be retired', async () => {
    const { id: first } = await keys.signer(account);
    clock.advance(1);
    const { id } = await rotateSigningKey(keys, deployer);
    expect(await listSigningKeys(keys, deployer)).toEqual({
      keys: [
        { id, createdAtMs: clock.now(), signs: false },
        { id: first, createdAtMs: clock.now() - 1, signs: true },
      ],
    });
    expect(await refusal(retireSigningKey(keys, { id: first }, deployer))).toMatchObject({ code: 'InvalidArgument' });
    await keys.signer(account);
  });

  it('are at most sixteen', async () => {
    await keys.signer(account);
    for (let made = 1; made < 16; made++) await rotateSigningKey(keys, deployer);
    expect(await refusal(rotateSigningKey(keys, deployer))).toMatchObject({
      code: 'InvalidArgument',
      message: expect.stringContaining('signing-key ls'),
    });
  });
});
