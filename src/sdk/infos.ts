import type { CallLimits } from './calls/call-limits.js';
import type { Client } from './client.js';
import type { ImageProgress } from './images/deploy-images.js';

/** Through which client; by default the one of the environment. */
export interface ClientChoice {
  readonly client?: Client;
  /** Endpoint of a router, `host:port` or a URL; the rest from the environment. */
  readonly baseUrl?: string;
}

/** Names one instance, as plain data: signed, without an address, good until the instance is closed. */
export interface ClassInstanceHandle {
  readonly v: 1;
  readonly kind: 'class' | 'sandbox';
  readonly account: string;
  readonly app: string;
  readonly name: string;
  readonly id: string;
  /** Rises when a closed id is made again: an old handle never reaches a new instance. */
  readonly generation: number;
  readonly signature: string;
}

/** A handle, or its JSON text. */
export type HandleInput = ClassInstanceHandle | string;

/** How to close; `timeoutMs` bounds this client's waiting. */
export interface CloseOptions extends CallLimits {
  readonly force?: boolean;
}

/** How a close went. */
export interface CloseResult {
  readonly closed: boolean;
  readonly alreadyClosed: boolean;
  readonly exitHook: 'ran' | 'failed' | 'timed-out' | 'skipped' | 'none';
  readonly error?: string;
}

/** One decorated method. */
export interface MethodInfo {
  readonly name: string;
  readonly generator: boolean;
  readonly parameters: readonly ParameterInfo[];
  readonly tags: readonly string[];
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly idempotent: boolean;
  readonly concurrent: boolean;
  /** Its single calls are gathered, and it is called with arrays. */
  readonly batch?: { readonly maxSize: number; readonly waitMs: number } | undefined;
}

/** One parameter of a method or constructor. */
export interface ParameterInfo {
  readonly name: string;
  readonly optional: boolean;
  readonly rest: boolean;
}

/** A class as it is deployed. */
export interface ClassInfo {
  readonly appName: string;
  readonly name: string;
  readonly deployment: number;
  readonly options: Readonly<Record<string, unknown>>;
  readonly methods: Readonly<Record<string, MethodInfo>>;
  readonly parameters: readonly ParameterInfo[];
  readonly enterHooks: readonly string[];
  readonly exitHooks: readonly string[];
  readonly liveInstances: number;
  readonly tags: readonly string[];
  readonly metadata: Readonly<Record<string, unknown>>;
}

/** One instance as the router and its worker see it. */
export interface InstanceInfo {
  readonly app: string;
  readonly name: string;
  readonly id: string;
  readonly generation: number;
  readonly epoch: number;
  readonly state: 'idle' | 'placing' | 'active' | 'draining' | 'closing' | 'closed' | 'lost';
  readonly workerId: string | null;
  readonly running: number;
  readonly pending: number;
  readonly deployment: number;
  readonly createdAt: Date;
  readonly lastCallAt: Date | null;
  readonly restarts: number;
}

/** Why an instance is where it is. */
export interface Explanation {
  readonly info: InstanceInfo;
  readonly placement: {
    readonly chosen: string;
    readonly score: number;
    readonly rejected: readonly { readonly workerId: string; readonly why: string }[];
    /** Images and volumes that it needs and the chosen worker had used lately, which is why it was preferred. */
    readonly kept: readonly string[];
  };
  readonly leaseAgeMs: number;
  readonly phasesMs: Readonly<Record<string, number>>;
  readonly transitions: readonly {
    readonly at: Date;
    readonly from: string;
    readonly to: string;
    readonly why: string;
  }[];
  /** Of an instance with several containers (`maxContainers`), where its worker answered. */
  readonly pool?: PoolInfo;
}

/** The containers of a pool, and who waits for them. */
export interface PoolInfo {
  readonly containers: readonly {
    /** Null: not known yet, or no more. */
    readonly workerId: string | null;
    readonly state: 'starting' | 'ready' | 'leaving';
    readonly running: number;
    /** `container`: until it had its class; `enter`: its constructor and hooks. */
    readonly phasesMs: Readonly<Record<string, number>>;
  }[];
  readonly maxContainers: number;
  /** Calls that can run at once, with all containers. */
  readonly slots: number;
  readonly waitingForContainer: number;
  readonly waitingForSlot: number;
  /** Null: none waits, or nothing is in its way. */
  readonly whyWaiting: string | null;
  /** Calls that began in this activation. */
  readonly begun: number;
  /** What those had waited for in all: for a `slot`, then for a `container`. */
  readonly waitedMs: Readonly<Record<string, number>>;
}

/** One worker as the routers see it. */
export interface WorkerInfo {
  readonly id: string;
  readonly state: 'ready' | 'draining' | 'lost';
  readonly instances: number;
  readonly containers: number;
  readonly offer: Readonly<Record<string, unknown>>;
  readonly leaseAgeMs: number;
}

/** A published version of an app. */
export interface Deployment {
  readonly app: string;
  readonly version: number;
  readonly bundleSha256: string;
  readonly createdAt: Date;
}

/** How to publish an app. */
export interface DeployOptions extends ClientChoice, CallLimits {
  /** Module that declares the app; default: the app's own `entry`. */
  readonly entry?: string | URL;
  /** `keep` (default): live instances stay on their deployment until they end. `restart`: each is drained (`exit('redeploy')`) and starts on the new one at its next call. */
  readonly instances?: 'keep' | 'restart';
  /** What happens while images are built: each step, and what it prints. */
  readonly onImage?: (progress: ImageProgress) => void;
}
