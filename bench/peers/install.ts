import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

interface Manifest {
  readonly version: string;
  readonly dependencies: Readonly<Record<string, string>>;
}

/** Installs what this folder pins, where that is not there yet. Resolves with the versions. @throws when npm fails */
export function installPeers(): Readonly<Record<string, string>> {
  const { dependencies } = manifestIn('.');
  const isMissing = Object.entries(dependencies).some(
    ([name, version]) =>
      !existsSync(new URL(`node_modules/${name}/package.json`, import.meta.url)) ||
      manifestIn(`node_modules/${name}`).version !== version,
  );
  if (isMissing) {
    const cwd = fileURLToPath(new URL('.', import.meta.url));
    console.error('installing the peers (about 700 MB, once)');
    const { status, error } = spawnSync('npm', ['install'], { cwd, stdio: ['ignore', 2, 2] });
    if (status !== 0) throw new Error(`npm install in ${cwd} failed: ${error?.message ?? `it ended with ${status}`}`);
  }
  return dependencies;
}

function manifestIn(folder: string): Manifest {
  return JSON.parse(readFileSync(new URL(`${folder}/package.json`, import.meta.url), 'utf8'));
}
