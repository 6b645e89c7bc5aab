import { HoldfastError } from '../../common/errors.js';
import type { CommandSpec } from '../../common/sandbox-methods.js';
import { pathProblem } from '../../common/session-options.js';

// What a client sends is hostile: nothing reaches the inside of a sandbox that is not of the shape that its port takes.

const mostWords = 65_536;
const mostVariables = 16_384;
const longestTimeoutMs = 2_147_483_647;

/** @throws InvalidArgument */
export function checkedCommand(given: unknown): CommandSpec {
  const spec = fieldsOf(given);
  const { argv, cwd, env, timeoutMs, stdin, maxOutputBytes, pty } = spec;
  if (!Array.isArray(argv) || argv.length === 0 || argv.length > mostWords || !argv.every(isText)) {
    throw invalid(`argv must be a list of 1 to ${mostWords} strings without NUL`);
  }
  if (cwd !== undefined) checkedPath(cwd);
  if (env !== undefined) checkedEnv(env);
  if (timeoutMs !== undefined && !(isNumber(timeoutMs) && timeoutMs > 0)) throw invalid('timeoutMs must be above 0');
  if (stdin !== undefined && stdin !== 'open' && !(stdin instanceof Uint8Array)) throw invalid('stdin must be bytes');
  if (maxOutputBytes !== undefined && !(isNumber(maxOutputBytes) && maxOutputBytes >= 0)) {
    throw invalid('maxOutputBytes must be at least 0');
  }
  if (pty !== undefined) checkedSize(fieldsOf(pty)['cols'], fieldsOf(pty)['rows']);
  return {
    ...(spec as unknown as CommandSpec),
    ...(timeoutMs === undefined ? {} : { timeoutMs: Math.min(timeoutMs as number, longestTimeoutMs) }),
  };
}

/** @throws InvalidArgument */
export function checkedEnv(env: unknown): Readonly<Record<string, string>> {
  const entries = Object.entries(fieldsOf(env));
  const isFine = ([name, value]: [string, unknown]): boolean => name !== '' && !/[=\0]/.test(name) && isText(value);
  if (entries.length > mostVariables || !entries.every(isFine)) throw invalid('variables must be strings without NUL');
  return env as Readonly<Record<string, string>>;
}

/** @throws InvalidArgument */
export function checkedPath(path: unknown): string {
  const wanted = pathProblem(path);
  if (wanted !== null) throw invalid(`a path must be ${wanted}`);
  return path as string;
}

/** @throws InvalidArgument */
export function checkedPid(pid: unknown): number {
  if (Number.isSafeInteger(pid) && (pid as number) > 0) return pid as number;
  throw invalid('a pid must be a whole number above 0');
}

/** @throws InvalidArgument */
export function checkedPort(port: unknown): number {
  if (Number.isInteger(port) && (port as number) > 0 && (port as number) < 65_536) return port as number;
  throw invalid('a port must be a whole number from 1 to 65535');
}

/** @throws InvalidArgument */
export function checkedSize(cols: unknown, rows: unknown): { readonly cols: number; readonly rows: number } {
  const isSide = (side: unknown): boolean =>
    Number.isInteger(side) && (side as number) > 0 && (side as number) < 65_536;
  if (isSide(cols) && isSide(rows)) return { cols: cols as number, rows: rows as number };
  throw invalid('the size of a terminal must be whole numbers from 1 to 65535');
}

/** @throws InvalidArgument */
export function checkedBytes(bytes: unknown): Uint8Array {
  if (bytes instanceof Uint8Array) return bytes;
  throw invalid('expected bytes');
}

/** @throws InvalidArgument */
export function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw invalid(`expected an object, got ${value === null ? 'null' : typeof value}`);
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && !value.includes('\0');
}

function isNumber(value: unknown): value is number {
  return Number.isFinite(value);
}

function invalid(why: string): HoldfastError {
  return new HoldfastError('InvalidArgument', `a request to a sandbox is wrong: ${why}`);
}
