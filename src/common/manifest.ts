import type { BatchOptions } from './batches.js';
import type { ImageRecipe } from './image-recipe.js';
import type { SecretReference } from './secret.js';
import type { MountReference } from './volume-mounts.js';

/** What a deployment says about an app: plain data, written by the SDK at deploy and read by everybody else. */
export interface AppManifest {
  readonly app: string;
  readonly tags: readonly string[];
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly classes: Readonly<Record<string, ClassManifest>>;
}

/** A sandbox is a class whose methods are the runtime's own (common/sandbox-methods). */
export type ResourceKind = 'class' | 'sandbox';

/** What a module declares: to routers and workers a function is a class without state, with one method. */
export type DeclaredKind = ResourceKind | 'function';

export interface ClassManifest {
  readonly kind: DeclaredKind;
  readonly name: string;
  /** Export of the bundle that is the class, function or sandbox. */
  readonly exportName: string;
  readonly options: ClassOptions;
  /** Empty for a sandbox. */
  readonly methods: Readonly<Record<string, MethodManifest>>;
  readonly parameters: readonly ParameterManifest[];
  /** Text of the constructor's parameter list, `(prefix = 'hi: ')`; null where the class has no constructor. */
  readonly signature: string | null;
  /** In the order in which they run: base class first. */
  readonly enterHooks: readonly string[];
  readonly exitHooks: readonly string[];
  /** What an alarm calls; absent or null: there is none. */
  readonly alarm?: string | null | undefined;
}

/** What it is to routers and workers. Deployments of a version that had no sandboxes do not say it. */
export function kindOf({ kind }: ClassManifest): ResourceKind {
  return kind === 'sandbox' ? 'sandbox' : 'class';
}

/** What it was declared as. */
export function declaredKindOf(manifest: ClassManifest): DeclaredKind {
  return manifest.kind === 'function' ? 'function' : kindOf(manifest);
}

export interface MethodManifest {
  readonly name: string;
  readonly generator: boolean;
  readonly parameters: readonly ParameterManifest[];
  readonly tags: readonly string[];
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly idempotent: boolean;
  readonly concurrent: boolean;
  /** Its single calls are gathered; it is a reader then. Absent: they are not. */
  readonly batch?: BatchOptions | undefined;
}

export interface ParameterManifest {
  readonly name: string;
  readonly optional: boolean;
  readonly rest: boolean;
}

export type Isolation = 'process' | 'bubblewrap' | 'gvisor';

export interface RetryPolicy {
  readonly maxRetries: number;
  readonly initialDelayMs: number;
  readonly backoffCoefficient: number;
  readonly maxDelayMs: number;
}

/** Options of a class with every default filled in. */
export interface ClassOptions {
  readonly cpu: number;
  readonly memoryMb: number;
  readonly timeoutMs: number;
  readonly retries: RetryPolicy;
  readonly concurrentRequests: number;
  readonly maxPendingTasks: number;
  readonly tasksPerContainer: number;
  /** Of one pool: `bind` of a class, or a function. Absent: 1. */
  readonly maxContainers?: number | undefined;
  /** Kept while the pool is active, called or not. Absent: none. */
  readonly minContainers?: number | undefined;
  /** Kept beside those that run calls. Absent: none. */
  readonly bufferContainers?: number | undefined;
  readonly startupTimeoutMs: number;
  readonly exitTimeoutMs: number;
  /** Null: never sleeps. */
  readonly idleTimeoutMs: number | null;
  /** Null: the worker's default. */
  readonly isolation: Isolation | null;
  /** Null: `recreate` for `named` and `bind`, `fail` for `new`. */
  readonly onLoss: OnLoss | null;
  readonly placement: PlacementConstraints;
  /** In the environment of its containers; a later one wins where two have the same variable. */
  readonly secrets: readonly SecretReference[];
  /** Id of the image that its containers and sessions start from; absent: none. */
  readonly image?: string | undefined;
  /** How to make that, in place of it; a deploy does, and what is published has the id. */
  readonly recipe?: ImageRecipe | undefined;
  /** What its containers and sessions see at paths; absent: none. */
  readonly volumes?: readonly MountReference[] | undefined;
  readonly tags: readonly string[];
  readonly metadata: Readonly<Record<string, unknown>>;
}

export type OnLoss = 'fail' | 'recreate';

/** One requirement of an offer's field: equality, a list of choices, or a range. */
export type OfferFilter =
  | string
  | number
  | boolean
  | readonly (string | number)[]
  | { readonly min?: number | undefined; readonly max?: number | undefined };

/** The placement options that were given, by the name of `PlacementOptions`; absent ones do not constrain. */
export interface PlacementConstraints {
  readonly gpu?: string | readonly string[] | undefined;
  readonly gpuCount?: number | undefined;
  readonly minVramGb?: number | undefined;
  readonly geolocation?: string | readonly string[] | undefined;
  readonly offerFilters?: Readonly<Record<string, OfferFilter>> | undefined;
  readonly maxCostPerHourUsd?: number | undefined;
  readonly maxCostPerTflopHourUsd?: number | undefined;
  readonly minTotalFlops?: number | undefined;
  readonly minGpuRamBandwidthGbps?: number | undefined;
  readonly minCpuCores?: number | undefined;
  readonly minCpuRamGb?: number | undefined;
  readonly minCpuGhz?: number | undefined;
  readonly minDiskBandwidthMbS?: number | undefined;
  readonly minInternetUploadMbps?: number | undefined;
  readonly minInternetDownloadMbps?: number | undefined;
  readonly secureCloudOnly?: boolean | undefined;
  readonly diskGb?: number | undefined;
}

/** A published version of an app. */
export interface DeploymentRecord {
  readonly account: string;
  readonly app: string;
  /** 1 and up, per app. */
  readonly version: number;
  readonly bundleSha256: string;
  readonly createdAtMs: number;
  readonly manifest: AppManifest;
}
