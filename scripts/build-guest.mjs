/**
 * Compiles the guest agent (src/guest) to a static program in dist/guest, where its sources, this script or the compiler's
 * choice have changed since. `npm pack` carries it, so that users need no compiler. Where there is none and nothing was
 * built before, it says so in one line, and sandboxes answer `SandboxUnavailable`.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const source = join(root, 'src/guest');
const output = join(root, 'dist/guest');
/** The first that can; musl makes a program of a tenth of the size. */
const compilers = ['musl-gcc', 'gcc', 'cc', 'clang'];
const flags = ['-std=gnu11', '-static', '-O2', '-Wall', '-Wextra', '-Werror'];

export const guestProgram = join(output, `holdfast-guest-${process.arch}`);

/** What the agent is made of, without the targets of the fuzzer. */
export function guestSources() {
  return readdirSync(source)
    .filter((file) => /\.[ch]$/.test(file) && !file.startsWith('fuzz'))
    .sort()
    .map((file) => join(source, file));
}

function fingerprint() {
  const hash = createHash('sha256');
  for (const file of [...guestSources(), import.meta.filename]) hash.update(file).update(readFileSync(file));
  return hash.digest('hex');
}

/** Atomic: a sandbox that starts meanwhile runs the old one or the new one. */
function compile() {
  mkdirSync(output, { recursive: true });
  const staged = `${guestProgram}.${process.pid}`;
  const units = guestSources().filter((file) => file.endsWith('.c'));
  let said = '';
  try {
    for (const compiler of compilers) {
      const { status, stderr } = spawnSync(compiler, [...flags, '-s', '-o', staged, ...units], { encoding: 'utf8' });
      if (status !== 0) {
        said ||= stderr ?? '';
        continue;
      }
      renameSync(staged, guestProgram);
      return { isDone: true, said };
    }
    return { isDone: false, said };
  } finally {
    rmSync(staged, { force: true });
  }
}

/** @returns whether there is an agent now that fits the sources, or that the package came with */
export function buildGuest() {
  if (process.platform !== 'linux') return false;
  const stamp = `${guestProgram}.sha256`;
  const wanted = fingerprint();
  const isBuilt = existsSync(guestProgram);
  if (isBuilt && existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return true;
  const { isDone, said } = compile();
  if (isDone) {
    writeFileSync(stamp, wanted);
    return true;
  }
  if (said !== '') console.error(said.trimEnd());
  const effect = isBuilt ? 'the one that is there stays' : 'sandboxes will answer SandboxUnavailable';
  console.error(`build: cannot compile the guest agent, ${effect}; on Debian or Ubuntu: apt-get install gcc libc6-dev`);
  return isBuilt;
}

if (process.argv[1] === import.meta.filename) process.exitCode = buildGuest() ? 0 : 1;
