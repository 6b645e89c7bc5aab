import { build } from 'esbuild';

/**
 * The files of the project that a module is made of, itself first; without those of packages. Of one that does not compile,
 * those that were read until then: the mistake is in one of them.
 */
export async function moduleFiles(module: string): Promise<string[]> {
  const seen = new Set([module]);
  const recorder = {
    name: 'files',
    setup: (on: {
      onLoad(filter: { filter: RegExp; namespace: string }, see: (file: { path: string }) => null): void;
    }) =>
      on.onLoad({ filter: /.*/, namespace: 'file' }, ({ path }) => {
        seen.add(path);
        return null;
      }),
  };
  await build({
    entryPoints: [module],
    bundle: true,
    write: false,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    logLevel: 'silent',
    outdir: 'unused',
    plugins: [recorder],
  }).catch(() => undefined); // Who deploys it says what is wrong.
  return [...seen];
}
