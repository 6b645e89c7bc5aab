import { realpathSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { OnResolveArgs, Plugin, PluginBuild } from 'esbuild';
import { exportedNames } from '../classes/exported-names.js';

const namespace = 'holdfast';
const skip = { holdfast: 'resolving' };
const packageRoot = fileURLToPath(new URL('../../..', import.meta.url));

/** The container supplies the SDK: a bundle that brought its own would have classes that no one else knows. */
const source = [
  `const sdk = globalThis[Symbol.for('holdfast.container')];`,
  `if (sdk === undefined) throw new Error('this bundle runs in a container of holdfast only');`,
  ...exportedNames.map((name) => `export const ${name} = sdk.${name};`),
].join('\n');

/** Rewrites imports of `holdfast` to reads of what the container supplies; refuses what cannot be in a bundle. */
export const sdkPlugin: Plugin = {
  name: 'holdfast',
  setup(build) {
    build.onResolve({ filter: /^holdfast$/ }, () => ({ path: 'holdfast', namespace }));
    build.onResolve({ filter: /^holdfast\/testing$/ }, () => ({
      errors: [{ text: 'holdfast/testing starts clusters and cannot be part of a deployed module' }],
    }));
    // In a checkout of this package the SDK is a file like any other.
    build.onResolve({ filter: /(^|\/)sdk\/index(\.[cm]?[jt]s)?$/ }, (args) => resolveCheckout(build, args));
    build.onLoad({ filter: /.*/, namespace }, () => ({ contents: source, loader: 'js' }));
    build.onResolve({ filter: /\.node$/ }, ({ path }) => ({
      errors: [{ text: `native module ${path} cannot be bundled; use a package without native code` }],
    }));
  },
};

async function resolveCheckout(build: PluginBuild, args: OnResolveArgs) {
  if (args.pluginData === skip) return undefined;
  const { importer, resolveDir, kind } = args;
  const found = await build.resolve(args.path, { importer, resolveDir, kind, pluginData: skip });
  if (found.errors.length > 0) return found;
  return isOwnIndex(found.path) ? { path: 'holdfast', namespace } : found;
}

function isOwnIndex(path: string): boolean {
  const root = realpathSync(packageRoot);
  return path === join(root, 'src/sdk/index.ts') || path === join(root, 'dist/sdk/index.js');
}
