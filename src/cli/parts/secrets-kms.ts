import { randomBytes } from 'node:crypto';
import { link, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type MasterKeySource, openLocalKms } from '../../adapters/kms/local-kms.js';
import { masterKeyBytes } from '../../adapters/kms/master-keys.js';
import { systemRandom } from '../../adapters/system/clock.js';
import type { Kms } from '../../common/ports/kms.js';

const variable = 'HOLDFAST_MASTER_KEY';
const draftBytes = 8;

/** Where the operator keeps the master keys; null: nowhere, so that this router keeps no secrets. */
export function masterKeySource(file: string | undefined, env: NodeJS.ProcessEnv): MasterKeySource | null {
  const path = file || env['HOLDFAST_MASTER_KEY_FILE'];
  if (path) return { kind: 'file', path };
  const text = env[variable];
  return text ? { kind: 'text', text, name: variable } : null;
}

/** @throws InvalidArgument, Unavailable */
export async function openKms(source: MasterKeySource | null): Promise<Kms | null> {
  return source === null ? null : openLocalKms(source, systemRandom);
}

/** For one machine: a key in a file of its own, made at first use. */
export async function openEmbeddedKms(folder: string): Promise<Kms> {
  return openLocalKms({ kind: 'file', path: await makeMasterKeyFile(folder) }, systemRandom);
}

/** The file's path. It is made whole or not at all, and never over one that is there. */
export async function makeMasterKeyFile(folder: string): Promise<string> {
  const path = join(folder, 'master-key');
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const draft = `${path}.${randomBytes(draftBytes).toString('hex')}`;
  await writeFile(draft, `${randomBytes(masterKeyBytes).toString('base64')}\n`, { mode: 0o600 });
  try {
    await link(draft, path);
  } catch (e) {
    if ((e as NodeJS.ErrnoException).code !== 'EEXIST') throw e;
  } finally {
    await rm(draft, { force: true });
  }
  return path;
}
