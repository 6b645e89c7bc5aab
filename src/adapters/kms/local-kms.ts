import { createCipheriv, createDecipheriv } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { Random } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import type { Kms } from '../../common/ports/kms.js';
import { type MasterKey, parseMasterKeys } from './master-keys.js';

/** Where the master keys are. A file is read again when a key is asked for that was not in it; a variable never changes. */
export type MasterKeySource =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'text'; readonly text: string; readonly name: string };

const cipher = 'aes-256-gcm';
const nonceBytes = 12;
const tagBytes = 16;

/** Wraps with master keys that this process holds itself. @throws InvalidArgument, Unavailable where the file cannot be read */
export async function openLocalKms(source: MasterKeySource, random: Random): Promise<Kms> {
  let keys = await readKeys(source);
  const reread = async (): Promise<void> => {
    if (source.kind === 'file') keys = await readKeys(source);
  };
  const find = (id: string): MasterKey | undefined => keys.find((key) => key.id === id);
  return {
    currentKeyId: async () => {
      await reread();
      return newest(keys).id;
    },
    wrap: async (dataKey, context) => {
      const { id, bytes } = newest(keys);
      const nonce = random.bytes(nonceBytes);
      const sealing = createCipheriv(cipher, bytes, nonce, { authTagLength: tagBytes }).setAAD(context);
      const sealed = Buffer.concat([sealing.update(dataKey), sealing.final()]);
      return { keyId: id, bytes: new Uint8Array(Buffer.concat([nonce, sealing.getAuthTag(), sealed])) };
    },
    unwrap: async ({ keyId, bytes }, context) => {
      if (find(keyId) === undefined) await reread();
      const key = find(keyId);
      if (key === undefined) throw unknownKey(keyId, source);
      return open(key, bytes, context);
    },
  };
}

async function readKeys(source: MasterKeySource): Promise<MasterKey[]> {
  if (source.kind === 'text') return parseMasterKeys(source.text, source.name);
  try {
    return parseMasterKeys(await readFile(source.path, 'utf8'), source.path);
  } catch (cause) {
    if (cause instanceof HoldfastError) throw cause;
    throw new HoldfastError('Unavailable', `the file of master keys ${source.path} cannot be read: ${String(cause)}`, {
      retryable: false,
      cause,
    });
  }
}

function newest([first]: readonly MasterKey[]): MasterKey {
  if (first !== undefined) return first;
  throw new HoldfastError('Internal', 'there is no master key although their text was read');
}

function open(key: MasterKey, wrapped: Uint8Array, context: Uint8Array): Uint8Array {
  try {
    const opening = createDecipheriv(cipher, key.bytes, wrapped.subarray(0, nonceBytes), { authTagLength: tagBytes });
    opening.setAAD(context).setAuthTag(wrapped.subarray(nonceBytes, nonceBytes + tagBytes));
    return new Uint8Array(Buffer.concat([opening.update(wrapped.subarray(nonceBytes + tagBytes)), opening.final()]));
  } catch (cause) {
    throw new HoldfastError('Internal', `a wrapped key does not open with master key ${key.id}: it was changed`, {
      cause,
    });
  }
}

function unknownKey(id: string, source: MasterKeySource): HoldfastError {
  const where = source.kind === 'file' ? source.path : source.name;
  return new HoldfastError(
    'Unavailable',
    `master key ${id} is not in ${where}: put it back, below the current one, until \`holdfast secret rotate-key\` has run`,
    { retryable: false, details: { keyId: id } },
  );
}
