import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { HoldfastError } from '../../common/errors.js';

/** Built entry points of the processes that a worker starts. @throws Unavailable where the package was not built */
export function entryPath(name: 'container-main' | 'mount-main' | 'watchdog-main'): string {
  const path = fileURLToPath(new URL(`../${name}.js`, import.meta.url));
  if (!existsSync(path))
    throw new HoldfastError('Unavailable', `${name}.js is missing: build the package with npm run build`);
  return path;
}
