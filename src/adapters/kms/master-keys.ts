import { createHash } from 'node:crypto';
import { HoldfastError } from '../../common/errors.js';

export interface MasterKey {
  /** Part of the key's SHA-256: tells nothing of it, and needs no bookkeeping. */
  readonly id: string;
  readonly bytes: Uint8Array;
}

export const masterKeyBytes = 32;
const idLength = 16;

/**
 * Master keys as a file or variable has them: base64 of 32 bytes each, one a line or separated by commas; the first wraps,
 * all unwrap. Lines that begin with # say nothing.
 * @param where for messages, which quote nothing of what is there. @throws InvalidArgument
 */
export function parseMasterKeys(text: string, where: string): MasterKey[] {
  const words = text
    .split(/[\n,]/)
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
  if (words.length === 0) throw refused(where, 'there is none');
  return words.map((word, index) => {
    const bytes = new Uint8Array(Buffer.from(word, 'base64'));
    const isBase64 = /^[A-Za-z0-9+/]+={0,2}$/.test(word);
    if (!isBase64 || bytes.length !== masterKeyBytes) throw refused(where, `number ${index + 1} is not that`);
    return { id: createHash('sha256').update(bytes).digest('hex').slice(0, idLength), bytes };
  });
}

function refused(where: string, why: string): HoldfastError {
  const how = 'make one with `openssl rand -base64 32`';
  return new HoldfastError(
    'InvalidArgument',
    `master keys in ${where}: expected base64 of ${masterKeyBytes} bytes, one a line, and ${why}; ${how}`,
  );
}
