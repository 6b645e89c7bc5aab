import { createHash } from 'node:crypto';
import { realpathSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BuildFailure, Message } from 'esbuild';
import { show } from '../../common/check-options.js';
import { HoldfastError } from '../../common/errors.js';
import { expected } from '../../common/option-checks.js';
import { sdkPlugin } from './sdk-plugin.js';

/** One module with everything that it imports, in one file. */
export interface Bundle {
  readonly code: Uint8Array;
  readonly sha256: string;
}

const maxBundleBytes = 67_108_864;

/** CommonJS packages call `require` for Node's own modules, which a module has not. */
const requireBanner = [
  `import { createRequire as holdfastCreateRequire } from 'node:module';`,
  'const require = holdfastCreateRequire(import.meta.url);',
].join('\n');

/**
 * Bundles a module. The same sources make the same bytes wherever they lie: paths in it are relative to the entry.
 *
 * @throws InvalidArgument naming the file and line, for what does not build or cannot be bundled
 */
export async function bundleModule(entry: string | URL): Promise<Bundle> {
  const path = entryPath(entry);
  // Not at import: it is only needed to deploy.
  const { build } = await import('esbuild');
  try {
    const { outputFiles } = await build({
      entryPoints: [path],
      absWorkingDir: dirname(path),
      outfile: 'bundle.mjs',
      bundle: true,
      write: false,
      platform: 'node',
      format: 'esm',
      target: 'node20',
      keepNames: true,
      sourcemap: 'inline',
      legalComments: 'none',
      charset: 'utf8',
      logLevel: 'silent',
      banner: { js: requireBanner },
      plugins: [sdkPlugin],
    });
    const code = outputFiles[0]?.contents ?? new Uint8Array(0);
    if (code.length > maxBundleBytes) throw tooLarge(path, code.length);
    return { code, sha256: createHash('sha256').update(code).digest('hex') };
  } catch (e) {
    throw isBuildFailure(e) ? doesNotBuild(path, e) : e;
  }
}

/** Without links. @throws InvalidArgument for what is neither path nor URL of a file, and for a file that is not there */
export function entryPath(entry: string | URL): string {
  const wanted = expected.stringOrUrl(entry);
  if (wanted !== null) {
    throw new HoldfastError('InvalidArgument', `the module to deploy must be ${wanted}, got ${show(entry)}`);
  }
  const isUrl = entry instanceof URL || entry.startsWith('file:');
  try {
    return realpathSync(isUrl ? fileURLToPath(entry) : entry);
  } catch (cause) {
    throw new HoldfastError('InvalidArgument', `the module to deploy is not there: ${String(entry)}`, { cause });
  }
}

function isBuildFailure(e: unknown): e is BuildFailure {
  return e instanceof Error && Array.isArray((e as Partial<BuildFailure>).errors);
}

function doesNotBuild(path: string, failure: BuildFailure): HoldfastError {
  const shown = failure.errors.slice(0, 5).map(describe).join('; ');
  const more = failure.errors.length > 5 ? `; and ${failure.errors.length - 5} more` : '';
  return new HoldfastError('InvalidArgument', `${path} cannot be bundled: ${shown}${more}`, { cause: failure });
}

function describe({ text, location }: Message): string {
  return location === null ? text : `${location.file}:${location.line}:${location.column + 1}: ${text}`;
}

function tooLarge(path: string, bytes: number): HoldfastError {
  return new HoldfastError(
    'InvalidArgument',
    `the bundle of ${path} has ${bytes} bytes, at most ${maxBundleBytes} can be deployed`,
    { details: { bytes, limit: maxBundleBytes } },
  );
}
