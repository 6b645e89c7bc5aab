import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openLocalKms } from '../../src/adapters/kms/local-kms.js';
import { systemRandom } from '../../src/adapters/system/clock.js';

const context = Buffer.from('whose');
const dataKey = new Uint8Array(randomBytes(32));
const masterKey = () => randomBytes(32).toString('base64');
const opened = (text: string) => openLocalKms({ kind: 'text', text, name: 'THE_VARIABLE' }, systemRandom);

describe('master keys', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'holdfast-kms-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  test('what one wrapped it unwraps, for the same purpose only, and never twice alike', async () => {
    const kms = await opened(masterKey());
    const wrapped = await kms.wrap(dataKey, context);
    expect(await kms.unwrap(wrapped, context)).toEqual(dataKey);
    expect((await kms.wrap(dataKey, context)).bytes).not.toEqual(wrapped.bytes);
    expect(Buffer.from(wrapped.bytes).includes(Buffer.from(dataKey))).toBe(false);
    await expect(kms.unwrap(wrapped, Buffer.from('other'))).rejects.toMatchObject({ code: 'Internal' });
  });

  test('a wrapped key that was changed or cut short does not open', async () => {
    const kms = await opened(masterKey());
    const { keyId, bytes } = await kms.wrap(dataKey, context);
    for (let at = 0; at < bytes.length; at += 7) {
      const changed = bytes.map((byte, i) => (i === at ? byte ^ 1 : byte));
      await expect(kms.unwrap({ keyId, bytes: changed }, context)).rejects.toMatchObject({ code: 'Internal' });
    }
    for (const length of [0, 11, 12, 20, 28, bytes.length - 1])
      await expect(kms.unwrap({ keyId, bytes: bytes.subarray(0, length) }, context)).rejects.toMatchObject({
        code: 'Internal',
      });
  });

  test('the first wraps, all unwrap, and one that was taken away is named', async () => {
    const [old, fresh] = [masterKey(), masterKey()];
    const wrapped = await (await opened(old)).wrap(dataKey, context);
    const both = await opened(`# rotated today\n${fresh}\n${old}\n`);
    expect(await both.unwrap(wrapped, context)).toEqual(dataKey);
    expect((await both.wrap(dataKey, context)).keyId).not.toBe(wrapped.keyId);
    await expect((await opened(fresh)).unwrap(wrapped, context)).rejects.toMatchObject({
      code: 'Unavailable',
      retryable: false,
      message: expect.stringContaining(wrapped.keyId),
    });
  });

  test('a key that is put into the file later is found without a restart', async () => {
    const path = join(folder, 'keys');
    const [old, fresh] = [masterKey(), masterKey()];
    await writeFile(path, old);
    const [early, late] = [
      await openLocalKms({ kind: 'file', path }, systemRandom),
      await openLocalKms({ kind: 'file', path }, systemRandom),
    ];
    const before = await early.currentKeyId();
    await writeFile(path, `${fresh}\n${old}`);
    expect(await early.currentKeyId()).not.toBe(before);
    expect(await late.unwrap(await early.wrap(dataKey, context), context)).toEqual(dataKey);
  });

  test('text that is no key is refused without being quoted', async () => {
    const short = randomBytes(16).toString('base64');
    for (const text of ['', '# none', short, `${masterKey()},${short}`, 'not base64!']) {
      const error = await opened(text).catch((e: unknown) => e as Error);
      expect(error).toMatchObject({ code: 'InvalidArgument', message: expect.stringContaining('THE_VARIABLE') });
      expect(error instanceof Error && text !== '' && error.message.includes(text)).toBe(false);
    }
    await expect(openLocalKms({ kind: 'file', path: join(folder, 'none') }, systemRandom)).rejects.toMatchObject({
      code: 'Unavailable',
      message: expect.stringContaining('none'),
    });
  });
});
