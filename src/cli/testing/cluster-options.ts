import { HoldfastError } from '../../common/errors.js';
import type { Isolation } from '../../common/manifest.js';

/** One worker of a cluster; what is absent is as in `holdfast worker`. */
export interface WorkerSetting {
  readonly id?: string;
  /** Fields of its offer; they win over what the host says of itself. */
  readonly offer?: Readonly<Record<string, unknown>>;
  readonly maxContainers?: number;
  /** Default `bubblewrap`. */
  readonly sandboxIsolation?: 'bubblewrap' | 'gvisor';
}

/** What to start. */
export interface ClusterOptions {
  /** `embedded`: routers and workers on the in-process bus and LMDB. `real`: nats-server and redis-server on free ports, every part a process of its own. */
  readonly mode: 'embedded' | 'real';
  /** Default 1. */
  readonly routers?: number;
  /** Default 1; an entry configures one worker's offer. */
  readonly workers?: number | readonly WorkerSetting[];
  /** Variables that every class container gets. */
  readonly env?: Readonly<Record<string, string>>;
  /** Default `process`. */
  readonly isolation?: Isolation;
  /** Ends the start; a cluster that has started is ended by `close`. */
  readonly signal?: AbortSignal;
}

/** Options with every default filled in. */
export interface ClusterPlan {
  readonly mode: 'embedded' | 'real';
  readonly routers: number;
  readonly workers: readonly WorkerSetting[];
  readonly env: Readonly<Record<string, string>>;
  readonly isolation: Isolation;
  readonly signal: AbortSignal;
}

/** A test that needs more has mistaken a count for something else. */
const most = 64;
const idPattern = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;

/** Says what is wrong with a value, or null. */
type Check = (value: unknown) => string | null;

const isCount = (value: unknown, least: number): boolean =>
  Number.isInteger(value) && (value as number) >= least && (value as number) <= most;
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const clusterChecks: Readonly<Record<string, Check>> = {
  mode: (value) => (value === 'embedded' || value === 'real' ? null : "'embedded' or 'real'"),
  routers: (value) => (isCount(value, 1) ? null : `a whole number from 1 to ${most}`),
  workers: (value) =>
    isCount(value, 0) || (Array.isArray(value) && value.length <= most && value.every(isObject))
      ? null
      : `a whole number from 0 to ${most}, or a list of { id, offer, maxContainers, sandboxIsolation }`,
  env: (value) =>
    isObject(value) && Object.values(value).every((each) => typeof each === 'string')
      ? null
      : 'an object of variables, each a string',
  isolation: (value) =>
    ['process', 'bubblewrap', 'gvisor'].includes(value as string) ? null : "'process', 'bubblewrap' or 'gvisor'",
  signal: (value) => (value instanceof AbortSignal ? null : 'an AbortSignal'),
};

const workerChecks: Readonly<Record<string, Check>> = {
  id: (value) =>
    typeof value === 'string' && idPattern.test(value) ? null : 'at most 64 letters, digits, - and _, no other first',
  offer: (value) => (isObject(value) ? null : 'an object of offer fields'),
  sandboxIsolation: (value) => (value === 'bubblewrap' || value === 'gvisor' ? null : "'bubblewrap' or 'gvisor'"),
  maxContainers: (value) => (Number.isInteger(value) && (value as number) >= 1 ? null : 'a whole number of at least 1'),
};

/** @throws InvalidArgument naming the option */
export function resolveClusterOptions(options: ClusterOptions): ClusterPlan {
  check('startCluster', options, clusterChecks);
  if (options.mode === undefined) throw refusal("startCluster: 'mode'", "'embedded' or 'real'", undefined);
  const { workers = 1 } = options;
  const settings: readonly WorkerSetting[] = typeof workers === 'number' ? Array(workers).fill({}) : workers;
  for (const [index, setting] of settings.entries()) checkWorkerSetting(`startCluster, workers[${index}]`, setting);
  const ids = settings.flatMap((setting) => setting.id ?? []);
  const twice = ids.find((id, index) => ids.indexOf(id) !== index);
  if (twice !== undefined) throw refusal("startCluster: 'workers'", 'of ids that differ', twice);
  return {
    mode: options.mode,
    routers: options.routers ?? 1,
    workers: settings,
    env: { ...options.env },
    isolation: options.isolation ?? 'process',
    signal: options.signal ?? new AbortController().signal,
  };
}

/** @throws InvalidArgument naming the option */
export function checkWorkerSetting(where: string, setting: WorkerSetting): void {
  check(where, setting, workerChecks);
}

function check(where: string, options: object, checks: Readonly<Record<string, Check>>): void {
  if (!isObject(options)) throw refusal(`${where}: options`, 'an object', options);
  for (const [name, value] of Object.entries(options)) {
    const wanted = Object.hasOwn(checks, name) ? checks[name] : undefined;
    if (wanted === undefined) throw unknownOption(where, name, Object.keys(checks));
    const problem = value === undefined ? null : wanted(value);
    if (problem !== null) throw refusal(`${where}: '${name}'`, problem, value);
  }
}

function unknownOption(where: string, name: string, known: readonly string[]): HoldfastError {
  return new HoldfastError('InvalidArgument', `${where}: unknown option '${name}'; expected ${known.join(', ')}`);
}

function refusal(option: string, wanted: string, got: unknown): HoldfastError {
  const shown = JSON.stringify(got) ?? String(got);
  return new HoldfastError('InvalidArgument', `${option} must be ${wanted}, got ${shown}`);
}
