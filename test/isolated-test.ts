import { accessSync, constants } from 'node:fs';
import { test } from 'vitest';

/** What tests of isolation need of the host, beside root. */
const programs = ['/usr/bin/bwrap', '/sbin/mkfs.ext4', '/sbin/ip'];

function missing(): string[] {
  const absent = programs.filter((program) => {
    try {
      accessSync(program, constants.X_OK);
      return false;
    } catch {
      return true;
    }
  });
  return process.getuid?.() === 0 ? absent : ['root', ...absent];
}

const lacking = missing();
const isSkipped = lacking.length > 0 && process.env['CI'] !== 'true';
if (isSkipped) console.warn(`SKIPPED: tests of isolation need ${lacking.join(', ')}; see \`npm run setup\``);

/** A test in real sandboxes. Where the host has none it is skipped, and said so; in CI it fails. */
export const isolatedTest = isSkipped ? test.skip : test;

export const canIsolate = !isSkipped;
