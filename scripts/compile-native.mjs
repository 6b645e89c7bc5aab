/**
 * Compiles a C program of the package to a static one in dist, where its sources, this script or the compiler's choice have
 * changed since. `npm pack` carries it, so that users need no compiler. Where there is none and nothing was built before,
 * it says so in one line, and sandboxes answer `SandboxUnavailable`.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/** The first that can; musl makes a program of a tenth of the size. */
const compilers = ['musl-gcc', 'gcc', 'cc', 'clang'];
const flags = ['-std=gnu11', '-static', '-O2', '-Wall', '-Wextra', '-Werror'];

function fingerprint(sources) {
  const hash = createHash('sha256');
  for (const file of [...sources, import.meta.filename]) hash.update(file).update(readFileSync(file));
  return hash.digest('hex');
}

/** Atomic: a sandbox that starts meanwhile runs the old one or the new one. */
function compile(program, sources) {
  mkdirSync(dirname(program), { recursive: true });
  const staged = `${program}.${process.pid}`;
  const units = sources.filter((file) => file.endsWith('.c'));
  let said = '';
  try {
    for (const compiler of compilers) {
      const { status, stderr } = spawnSync(compiler, [...flags, '-s', '-o', staged, ...units], { encoding: 'utf8' });
      if (status !== 0) {
        said ||= stderr ?? '';
        continue;
      }
      renameSync(staged, program);
      return { isDone: true, said };
    }
    return { isDone: false, said };
  } finally {
    rmSync(staged, { force: true });
  }
}

/** @returns whether there is a program now that fits the sources, or that the package came with */
export function compileNative({ name, program, sources }) {
  if (process.platform !== 'linux') return false;
  const stamp = `${program}.sha256`;
  const wanted = fingerprint(sources);
  const isBuilt = existsSync(program);
  if (isBuilt && existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return true;
  const { isDone, said } = compile(program, sources);
  if (isDone) {
    writeFileSync(stamp, wanted);
    return true;
  }
  if (said !== '') console.error(said.trimEnd());
  const effect = isBuilt ? 'the one that is there stays' : 'sandboxes will answer SandboxUnavailable';
  console.error(`build: cannot compile ${name}, ${effect}; on Debian or Ubuntu: apt-get install gcc libc6-dev`);
  return isBuilt;
}
