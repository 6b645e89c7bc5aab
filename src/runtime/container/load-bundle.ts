import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { HoldfastError } from '../../common/errors.js';
import type { LoadBody } from '../../wire/frames/frames.js';

/** What a host process does for its container; the process's own business, so it comes from the entry point. */
export interface BundleLoader {
  setEnv(env: Readonly<Record<string, string>>): void;
  /** Runs the module: its classes register themselves. */
  importBundle(path: string): Promise<unknown>;
}

/**
 * Verifies the bundle and runs it.
 *
 * @throws ActivationFailed, outcome `not-run`, with what the bundle threw as cause
 */
export async function loadBundle(body: LoadBody, loader: BundleLoader): Promise<void> {
  const label = `the bundle of app ${body.app}, deployment ${body.deployment}`;
  const bytes = await readFile(body.bundlePath).catch((error: unknown) => {
    throw loadFailed(`${label} cannot be read`, error);
  });
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  if (sha256 !== body.bundleSha256) {
    throw loadFailed(
      `${label} is not the one that was deployed: SHA-256 ${sha256}, expected ${body.bundleSha256}`,
      undefined,
    );
  }
  loader.setEnv(body.env);
  try {
    await loader.importBundle(body.bundlePath);
  } catch (error) {
    throw loadFailed(`${label} threw while it was loaded: ${describe(error)}`, error);
  }
}

function loadFailed(message: string, cause: unknown): HoldfastError {
  return new HoldfastError('ActivationFailed', message, { cause, outcome: 'not-run' });
}

function describe(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
