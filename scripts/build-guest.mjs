/** Compiles the guest agent (src/guest): see compile-native.mjs. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { compileNative } from './compile-native.mjs';

const root = join(import.meta.dirname, '..');
const source = join(root, 'src/guest');

export const guestProgram = join(root, `dist/guest/holdfast-guest-${process.arch}`);

/** What the agent is made of, without the targets of the fuzzer. */
export function guestSources() {
  return readdirSync(source)
    .filter((file) => /\.[ch]$/.test(file) && !file.startsWith('fuzz'))
    .sort()
    .map((file) => join(source, file));
}

/** @returns whether there is an agent now that fits the sources, or that the package came with */
export function buildGuest() {
  return compileNative({ name: 'the guest agent', program: guestProgram, sources: guestSources() });
}

if (process.argv[1] === import.meta.filename) process.exitCode = buildGuest() ? 0 : 1;
