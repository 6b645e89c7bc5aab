/** Compiles what prepares a sandbox before bubblewrap takes over (src/launcher): see compile-native.mjs. */
import { join } from 'node:path';
import { compileNative } from './compile-native.mjs';

const root = join(import.meta.dirname, '..');

/** @returns whether there is a launcher now that fits its source, or that the package came with */
export function buildLauncher() {
  return compileNative({
    name: "the sandboxes' launcher",
    program: join(root, `dist/launcher/holdfast-launcher-${process.arch}`),
    sources: [join(root, 'src/launcher/launcher.c')],
  });
}
