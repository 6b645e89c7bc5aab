import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';

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

export const canIsolate = !isSkipped;

const lacksPython = process.env['CI'] !== 'true' && spawnSync('python3', ['--version']).status !== 0;
if (canIsolate && lacksPython) console.warn('SKIPPED: tests of mounts that run programs of Python need python3');

/** Also `python3`, which some programs on mounts are written in. */
export const canRunPython = canIsolate && !lacksPython;
