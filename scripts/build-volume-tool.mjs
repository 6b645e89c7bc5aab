/** Compiles what containers call as `holdfast` (src/volume-tool): see compile-native.mjs. */
import { join } from 'node:path';
import { compileNative } from './compile-native.mjs';

const root = join(import.meta.dirname, '..');

/** @returns whether there is a program now that fits its source, or that the package came with */
export function buildVolumeTool() {
  return compileNative({
    name: 'the tool for volumes',
    program: join(root, `dist/volume-tool/holdfast-volume-${process.arch}`),
    sources: [join(root, 'src/volume-tool/main.c')],
  });
}
