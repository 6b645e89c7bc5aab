import { checkOptions } from './check-options.js';
import { HoldfastError } from './errors.js';
import { checkedImageId } from './image.js';
import { type Check, expected } from './option-checks.js';
import {
  checkedMountReferences,
  type SessionMountReference,
  sessionMounts,
  type VolumesOption,
  volumesProblem,
} from './volume-mounts.js';

/** Where a session's programs may connect to: nowhere, anywhere outside, or these domains and CIDR ranges. */
export interface NetworkPolicy {
  readonly outbound: 'none' | 'all' | readonly string[];
}

/** What a session is made with. */
export interface SessionOptions {
  /** Default `/`; made where it is missing. */
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, unknown>>;
  /** Default: the sandbox's. */
  readonly idleTimeoutMs?: number;
  /** From its first start; asleep or not, it is closed then. Default: none. */
  readonly lifetimeMs?: number;
  /** Default `{ outbound: 'none' }`. */
  readonly network?: NetworkPolicy;
  readonly tags?: readonly string[];
  /** Beside those of its sandbox; at the path of one of these in its place. No buckets: deployments name those. */
  readonly volumes?: VolumesOption;
}

/** The same with every value checked, `env` as text and volumes as a manifest has them; what was not given is absent. */
export interface GivenSessionOptions extends Omit<SessionOptions, 'volumes'> {
  readonly env?: Readonly<Record<string, string>>;
  readonly volumes?: readonly SessionMountReference[];
}

/** What a session is made with, on its way to its worker. */
export interface SessionArguments extends GivenSessionOptions {
  /** A session that another one is the origin of: its image in place of the sandbox's, and the variables that were taken away. */
  readonly fork?: { readonly image: string; readonly unsetEnv: readonly string[] };
}

const longestHost = 253;
const mostHosts = 1_000;

const checks: Readonly<Record<keyof SessionOptions, Check>> = {
  cwd: (value) => pathProblem(value),
  env: (value) => (typeof value === 'object' && value !== null && !Array.isArray(value) ? null : 'an object'),
  idleTimeoutMs: expected.integer(1, 2_147_483_647),
  lifetimeMs: expected.integer(1, Number.MAX_SAFE_INTEGER),
  network: (value) => (isPolicy(value) ? null : "{ outbound } with 'none', 'all' or a list of domains and CIDR ranges"),
  tags: expected.tags,
  volumes: volumesProblem,
};

/** @throws InvalidArgument naming the option */
export function checkSessionOptions(where: string, options: SessionOptions): GivenSessionOptions {
  checkOptions(where, options, checks);
  const { env, volumes, ...rest } = options;
  const given = Object.entries(rest).filter(([, value]) => value !== undefined);
  return {
    ...(Object.fromEntries(given) as Omit<SessionOptions, 'env' | 'volumes'>),
    ...(env === undefined ? {} : { env: envText(where, env) }),
    ...(volumes === undefined ? {} : { volumes: sessionMounts(where, volumes) }),
  };
}

/** @param value as a client sent it @throws InvalidArgument */
export function checkSessionArguments(where: string, value: unknown): SessionArguments {
  const { fork, volumes, ...options } = (value ?? {}) as SessionArguments;
  return {
    ...checkSessionOptions(where, options),
    ...(volumes === undefined ? {} : { volumes: checkedMountReferences(where, volumes) }),
    ...(fork === undefined ? {} : { fork: checkedFork(where, fork) }),
  };
}

function checkedFork(where: string, fork: NonNullable<SessionArguments['fork']>): typeof fork {
  const { image, unsetEnv } = fork ?? {};
  if (!Array.isArray(unsetEnv)) throw new HoldfastError('InvalidArgument', `${where} is a fork without unsetEnv`);
  for (const name of unsetEnv) checkVariableName(where, name);
  return { image: checkedImageId(image), unsetEnv };
}

/**
 * Variables as text. Numbers, booleans and big integers are written out, what is undefined is left out.
 *
 * @throws InvalidArgument naming the variable
 */
export function envText(where: string, values: Readonly<Record<string, unknown>>): Record<string, string> {
  if (typeof values !== 'object' || values === null || Array.isArray(values)) {
    throw new HoldfastError('InvalidArgument', `the variables of ${where} must be an object`);
  }
  const text: Record<string, string> = {};
  for (const [name, value] of Object.entries(values)) {
    checkVariableName(where, name);
    if (value === undefined) continue;
    if (!['string', 'number', 'boolean', 'bigint'].includes(typeof value) || String(value).includes('\0')) {
      throw new HoldfastError(
        'InvalidArgument',
        `variable ${name} of ${where} must be a string without NUL, a number or a boolean; unsetEnv removes one`,
        { details: { variable: name } },
      );
    }
    text[name] = String(value);
  }
  return text;
}

/** @throws InvalidArgument */
export function checkVariableName(where: string, name: unknown): asserts name is string {
  if (typeof name === 'string' && name !== '' && !/[=\0]/.test(name)) return;
  const shown = JSON.stringify(name);
  throw new HoldfastError(
    'InvalidArgument',
    `${shown} is no name of a variable of ${where}: it has '=', NUL or nothing`,
  );
}

const longestPath = 4_095;

/** What a path must be, or null where it is that. */
export function pathProblem(value: unknown): string | null {
  const isPath = typeof value === 'string' && value !== '' && value.length <= longestPath && !value.includes('\0');
  return isPath ? null : `a path of 1 to ${longestPath} characters without NUL`;
}

function isPolicy(value: unknown): value is NetworkPolicy {
  if (typeof value !== 'object' || value === null || Object.keys(value).some((key) => key !== 'outbound')) return false;
  const { outbound } = value as { outbound?: unknown };
  if (outbound === 'none' || outbound === 'all') return true;
  const isHost = (host: unknown): boolean =>
    typeof host === 'string' && host.length > 0 && host.length <= longestHost && !/[\s\0]/.test(host);
  return Array.isArray(outbound) && outbound.length <= mostHosts && outbound.every(isHost);
}
