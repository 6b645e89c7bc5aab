import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { HoldfastError } from '../../common/errors.js';
import type { AppManifest } from '../../common/manifest.js';
import { decodeError } from '../../wire/errors.js';
import { scrubbedEnvironment } from '../default-client.js';
import type { Bundle } from './bundle.js';

const withinMs = 30_000;
const keptOutput = 4_096;
/** Node's, for an `await` at the top level that nothing will end. */
const unsettledExitCode = 13;

interface ChildEnd {
  readonly exitCode: number | null;
  readonly signal: string | null;
  /** The end of what it wrote to stderr. */
  readonly output: string;
}

/**
 * Runs a bundle once in a child of its own, in a scrubbed environment, to see what it declares.
 *
 * @throws InvalidArgument with what the module threw as cause, Cancelled
 */
export async function describeBundle(
  bundle: Bundle,
  { appName, signal }: { readonly appName: string | null; readonly signal?: AbortSignal | undefined },
): Promise<AppManifest> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-describe-'));
  try {
    const bundlePath = join(folder, 'bundle.mjs');
    const answerPath = join(folder, 'answer');
    await writeFile(bundlePath, bundle.code);
    const end = await runChild([bundlePath, answerPath, appName ?? ''], signal);
    if (existsSync(`${answerPath}.error`)) throw decodeError(await readFile(`${answerPath}.error`));
    if (!existsSync(`${answerPath}.json`)) throw noAnswer(end, signal);
    const { manifest } = JSON.parse(await readFile(`${answerPath}.json`, 'utf8')) as { manifest: AppManifest };
    return manifest;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function runChild(args: readonly string[], signal: AbortSignal | undefined): Promise<ChildEnd> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...childProgram(), ...args], {
      env: scrubbedEnvironment(),
      stdio: ['ignore', 'ignore', 'pipe'],
      timeout: withinMs,
      killSignal: 'SIGKILL',
      ...(signal === undefined ? {} : { signal }),
    });
    let output = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-keptOutput);
    });
    child.once('error', (cause) => {
      if (signal?.aborted) return;
      reject(new HoldfastError('Internal', `the child that describes the module did not start: ${cause}`, { cause }));
    });
    child.once('close', (exitCode, killedBy) => resolve({ exitCode, signal: killedBy, output: output.trim() }));
  });
}

/** Compiled it is a module of its own; from a checkout's sources, as in its tests, tsx compiles it. */
function childProgram(): string[] {
  const extension = extname(fileURLToPath(import.meta.url));
  const main = fileURLToPath(new URL(`./describe-main${extension}`, import.meta.url));
  if (extension !== '.ts') return ['--enable-source-maps', main];
  const tsx = createRequire(import.meta.url).resolve('tsx');
  return ['--enable-source-maps', '--import', pathToFileURL(tsx).href, main];
}

function noAnswer({ exitCode, signal, output }: ChildEnd, caller: AbortSignal | undefined): HoldfastError {
  if (caller?.aborted) return new HoldfastError('Cancelled', 'the deploy was cancelled before anything was published');
  const seen = output === '' ? '' : `; it wrote: ${output}`;
  if (signal === 'SIGKILL') {
    return new HoldfastError('InvalidArgument', `the module was not imported within ${withinMs / 1000} s${seen}`);
  }
  if (exitCode === unsettledExitCode) {
    return new HoldfastError('InvalidArgument', `the module waits, at its top level, for what never comes${seen}`);
  }
  const how = signal === null ? `ended the process with code ${exitCode}` : `was killed by ${signal}`;
  return new HoldfastError('InvalidArgument', `the module ${how} while it was imported${seen}`);
}
