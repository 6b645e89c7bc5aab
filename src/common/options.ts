import type { BatchOptions } from './batches.js';
import { checkOptions, invalidOption } from './check-options.js';
import type { ImageReference } from './image.js';
import type { ClassOptions, Isolation, OnLoss, PlacementConstraints, RetryPolicy } from './manifest.js';
import { type Check, expected } from './option-checks.js';
import type { SecretReference } from './secret.js';
import { mountReferences, type VolumesOption, volumesProblem } from './volume-mounts.js';

/** Any field of a worker's offer, by name: equality, a list of choices, or a range. */
export type OfferFilters = Readonly<
  Record<
    string,
    string | number | boolean | readonly (string | number)[] | { readonly min?: number; readonly max?: number }
  >
>;

/** What a worker must offer to be chosen; options that are absent do not constrain. */
export interface PlacementOptions {
  readonly gpu?: string | readonly string[];
  readonly gpuCount?: number;
  readonly minVramGb?: number;
  readonly geolocation?: string | readonly string[];
  readonly offerFilters?: OfferFilters;
  readonly maxCostPerHourUsd?: number;
  readonly maxCostPerTflopHourUsd?: number;
  readonly minTotalFlops?: number;
  readonly minGpuRamBandwidthGbps?: number;
  readonly minCpuCores?: number;
  readonly minCpuRamGb?: number;
  readonly minCpuGhz?: number;
  readonly minDiskBandwidthMbS?: number;
  readonly minInternetUploadMbps?: number;
  readonly minInternetDownloadMbps?: number;
  readonly secureCloudOnly?: boolean;
}

/** When and how often a failed call runs again. Delays default to 1 000 ms, doubled each time, up to 60 000 ms. */
export interface Retries {
  readonly maxRetries: number;
  readonly initialDelayMs?: number;
  readonly backoffCoefficient?: number;
  readonly maxDelayMs?: number;
}

/** What a class asks of the machine that runs it, and how its calls are admitted. */
export interface ResourceOptions extends PlacementOptions {
  /** Default: the name of the class or of the function's export; of a sandbox `default`. */
  readonly name?: string;
  /** Default 1 core. Enforced where the worker has cgroups. */
  readonly cpu?: number;
  /** Default 1024. Above it the container is killed and its calls fail with `OutOfMemory`. */
  readonly memoryMb?: number;
  /** Default 10 where a disk is made: of sandboxes, isolated classes, changes of volumes that wait for a commit. Given: also what a worker must have free. */
  readonly diskGb?: number;
  /** One attempt of one call, from its start, queueing excluded. Default 600 000 (class, function), 3 600 000 (sandbox). */
  readonly timeoutMs?: number;
  readonly retries?: number | Retries;
  /** Default 0. `retries` wins where both are given. Errors that the user's code threw, and idempotent calls lost with a worker. */
  readonly maxRetries?: number;
  /** Calls that one instance runs at once. Default 1: strict first in, first out. */
  readonly concurrentRequests?: number;
  /** Calls that may wait for one instance. Default 100; one more is refused at once with `PendingLimitExceeded`. */
  readonly maxPendingTasks?: number;
  /** Containers behind one pooled instance (`bind`, `remote`) or function. Default 1. `named` and `new` always have exactly one. */
  readonly maxContainers?: number;
  /** Containers that a pool keeps while nobody calls it, once it was called. Default 0. */
  readonly minContainers?: number;
  /** Containers that a pool has beside those that run calls, up to `maxContainers`. Default 0. */
  readonly bufferContainers?: number;
  /**
   * Class: live instances that one container may hold, default 1. Sandbox: commands that may run at once in a session, default 1000;
   * `concurrentRequests` and the three options of pools have no effect there.
   */
  readonly tasksPerContainer?: number;
  /** In the environment of its containers, from their start. */
  readonly secrets?: readonly SecretReference[];
  /** The files that its containers or sessions start with; their walls are those of `bubblewrap` then. Default: the host's programs. */
  readonly image?: ImageReference;
  /** Volumes by the paths at which its containers or sessions see them; their walls are those of `bubblewrap` then. */
  readonly volumes?: VolumesOption;
  readonly tags?: Iterable<string>;
  readonly metadata?: Readonly<Record<string, unknown>>;
  /** Time for `enter` hooks. Default 60 000. */
  readonly startupTimeoutMs?: number;
  /** Grace for `exit` hooks and running calls at a close or drain. Default 30 000. */
  readonly exitTimeoutMs?: number;
  /** After this long without a call the instance sleeps: `exit('idle')`, its container freed, its handle good; the next call wakes it (`enter` again). Default: never; 60 000 of functions and pools. Instances of `local` never sleep. */
  readonly idleTimeoutMs?: number;
  /** At least this much isolation; a worker can demand more. `process`: a process of its own; `bubblewrap`: namespaces, seccomp, no capabilities; `gvisor`: runsc. Default: the worker's; sandboxes, images and volumes always have `bubblewrap` or more. */
  readonly isolation?: Isolation;
  /** When the worker is lost: calls fail with `InstanceLost`, or the next one starts the instance again. Default `recreate` for `named` and `bind`, `fail` for `new` and sandboxes; functions always `recreate`. */
  readonly onLoss?: OnLoss;
}

/** Options of `@app.cls`. */
export type ClsOptions = ResourceOptions;

/** Options of `@method`. */
export interface MethodOptions {
  readonly tags?: Iterable<string>;
  readonly metadata?: Readonly<Record<string, unknown>>;
  /** May be run again after an unknown outcome; without it a call is at most once. */
  readonly idempotent?: boolean;
  /** Runs beside other calls even when `concurrentRequests` is 1 (a reader). */
  readonly concurrent?: boolean;
  /**
   * Callers call it with single values, it is called with an array of those and answers an array of as many: up to `maxSize` calls
   * together, the first of them at most `waitMs` after it came. Up to `concurrentRequests` batches run at once, beside other methods.
   */
  readonly batch?: BatchOptions;
}

/** Method options with every default filled in. */
export interface ResolvedMethodOptions {
  readonly tags: readonly string[];
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly idempotent: boolean;
  readonly concurrent: boolean;
  /** Absent: it is called as it is called. */
  readonly batch?: BatchOptions;
}

const ms = expected.integer(1, 2_147_483_647);
const amount = expected.number(0);
const names = expected.oneOrMoreStrings;

const placementChecks: Readonly<Record<keyof PlacementOptions, Check>> = {
  gpu: names,
  gpuCount: expected.integer(1, 1_024),
  minVramGb: amount,
  geolocation: names,
  offerFilters: expected.offerFilters,
  maxCostPerHourUsd: amount,
  maxCostPerTflopHourUsd: amount,
  minTotalFlops: amount,
  minGpuRamBandwidthGbps: amount,
  minCpuCores: amount,
  minCpuRamGb: amount,
  minCpuGhz: amount,
  minDiskBandwidthMbS: amount,
  minInternetUploadMbps: amount,
  minInternetDownloadMbps: amount,
  secureCloudOnly: expected.boolean,
};

const labelChecks = { tags: expected.tags, metadata: expected.json } as const;

const classChecks: Readonly<Record<keyof ClsOptions, Check>> = {
  ...placementChecks,
  ...labelChecks,
  name: expected.className,
  cpu: expected.above(0),
  memoryMb: expected.integer(16, 16_777_216),
  diskGb: expected.above(0),
  timeoutMs: ms,
  retries: expected.retries,
  maxRetries: expected.integer(0, 1_000),
  concurrentRequests: expected.integer(1, 100_000),
  maxPendingTasks: expected.integer(0, 1_000_000),
  maxContainers: expected.integer(1, 1_000_000),
  minContainers: expected.integer(0, 1_000_000),
  bufferContainers: expected.integer(0, 1_000_000),
  tasksPerContainer: expected.integer(1, 1_000_000),
  startupTimeoutMs: ms,
  exitTimeoutMs: expected.integer(0, 2_147_483_647),
  idleTimeoutMs: ms,
  isolation: expected.oneOf('process', 'bubblewrap', 'gvisor'),
  onLoss: expected.oneOf('fail', 'recreate'),
  secrets: expected.secrets,
  image: expected.image,
  volumes: volumesProblem,
};

const methodChecks: Readonly<Record<keyof MethodOptions, Check>> = {
  ...labelChecks,
  idempotent: expected.boolean,
  concurrent: expected.boolean,
  batch: expected.batch,
};

const appChecks = { ...labelChecks, entry: expected.stringOrUrl } as const;

/**
 * Options of a class, checked and with every default filled in.
 *
 * @param where what the options belong to, for messages: `class Model`
 * @throws InvalidArgument naming the option, what it must be and what it is
 */
export function resolveClassOptions(where: string, given: ClsOptions = {}): ClassOptions {
  const options = withListedTags(given);
  checkOptions(where, options, classChecks);
  if ((options.minContainers ?? 0) > (options.maxContainers ?? 1)) {
    const wanted = `at most maxContainers (${options.maxContainers ?? 1})`;
    throw invalidOption({ where, option: 'minContainers', got: options.minContainers }, wanted);
  }
  return {
    cpu: options.cpu ?? 1,
    memoryMb: options.memoryMb ?? 1024,
    timeoutMs: options.timeoutMs ?? 600_000,
    retries: retryPolicy(options.retries ?? options.maxRetries ?? 0),
    concurrentRequests: options.concurrentRequests ?? 1,
    maxPendingTasks: options.maxPendingTasks ?? 100,
    tasksPerContainer: options.tasksPerContainer ?? 1,
    ...poolOf(options),
    startupTimeoutMs: options.startupTimeoutMs ?? 60_000,
    exitTimeoutMs: options.exitTimeoutMs ?? 30_000,
    idleTimeoutMs: options.idleTimeoutMs ?? null,
    isolation: options.isolation ?? null,
    onLoss: options.onLoss ?? null,
    placement: placementOf(options),
    secrets: (options.secrets ?? []).map(referenceOf),
    ...(options.image === undefined ? {} : imageOf(options.image)),
    ...(options.volumes === undefined ? {} : { volumes: mountReferences(options.volumes) }),
    tags: [...(options.tags ?? [])],
    metadata: options.metadata ?? {},
  };
}

/** Options of a method, checked and with every default filled in. @throws InvalidArgument */
export function resolveMethodOptions(where: string, given: MethodOptions = {}): ResolvedMethodOptions {
  const options = withListedTags(given);
  checkOptions(where, options, methodChecks);
  return {
    tags: [...(options.tags ?? [])],
    metadata: options.metadata ?? {},
    idempotent: options.idempotent ?? false,
    // Each of its calls holds nothing: its batch is what runs.
    concurrent: options.concurrent ?? options.batch !== undefined,
    ...(options.batch === undefined ? {} : { batch: { ...options.batch } }),
  };
}

/** Checks the options of an app. @throws InvalidArgument */
export function checkAppOptions(where: string, options: object): void {
  checkOptions(where, options, appChecks);
}

/** An iterable can be read once only: it becomes a list before it is checked. */
function withListedTags<O extends { readonly tags?: Iterable<string> }>(options: O): O {
  const tags: unknown = options?.tags;
  const isIterable = typeof tags === 'object' && tags !== null && Symbol.iterator in tags;
  return isIterable ? { ...options, tags: [...(tags as Iterable<string>)] } : options;
}

/** What is as by default is left out. */
function poolOf({ maxContainers = 1, minContainers = 0, bufferContainers = 0 }: ClsOptions): Partial<ClassOptions> {
  return {
    ...(maxContainers === 1 ? {} : { maxContainers }),
    ...(minContainers === 0 ? {} : { minContainers }),
    ...(bufferContainers === 0 ? {} : { bufferContainers }),
  };
}

function retryPolicy(retries: number | Retries): RetryPolicy {
  const given: Retries = typeof retries === 'number' ? { maxRetries: retries } : retries;
  return {
    maxRetries: given.maxRetries,
    initialDelayMs: given.initialDelayMs ?? 1_000,
    backoffCoefficient: given.backoffCoefficient ?? 2,
    maxDelayMs: given.maxDelayMs ?? 60_000,
  };
}

/** One that is there is named by its id. */
function imageOf({ recipe }: ImageReference): Pick<ClassOptions, 'image' | 'recipe'> {
  const { base, steps } = recipe;
  return base.from === 'image' && steps.length === 0 ? { image: base.id } : { recipe };
}

/** What a manifest says of it: only that. */
function referenceOf({ name, requiredKeys = [] }: SecretReference): SecretReference {
  return requiredKeys.length === 0 ? { name } : { name, requiredKeys: [...requiredKeys] };
}

function placementOf(options: ClsOptions): PlacementConstraints {
  const placement: Record<string, unknown> = {};
  for (const name of [...Object.keys(placementChecks), 'diskGb']) {
    const value: unknown = Reflect.get(options, name);
    if (value !== undefined) placement[name] = value;
  }
  return placement;
}
