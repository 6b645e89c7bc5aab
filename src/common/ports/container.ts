import type { InstanceKey } from '../ids.js';
import type { BucketMountReference, MountReference } from '../volume-mounts.js';
import type { BucketKeys } from './bucket.js';
import type { Channel } from './channel.js';

/** Starts container processes. The simulation has its own. */
export interface ContainerStarter {
  /**
   * A process that has loaded the runtime and waits for its bundle; guarded by the watchdog before it is handed over.
   * @param memoryMb that it is made for: its heap stays below. What it may really use is for `limit`.
   * @param own what those that it is for cannot have from a warm one
   */
  start(memoryMb: number, own?: ContainerFiles | OwnContainer): Promise<ContainerProcess>;
}

/** What a container sees at a path, with what it is opened by; a bucket cannot be opened without. */
export type ContainerMount =
  | Exclude<MountReference, BucketMountReference>
  | (BucketMountReference & { readonly keys?: BucketKeys });

/** What a container starts with beyond what a warm one has: of a class, the same for all its instances. */
export interface ContainerFiles {
  /** Of a sandbox's disk. */
  readonly diskGb?: number;
  /** What that starts with, and the time to have it here. */
  readonly image?: { readonly id: string; readonly withinMs: number };
}

/** A container for one instance that needs more than others of its class have. */
export interface OwnContainer extends ContainerFiles {
  /** Whose files it gets, where it has left some. */
  readonly key: InstanceKey;
  /** What it sees at paths, of the account. */
  readonly volumes?: readonly ContainerMount[];
}

export interface ContainerProcess {
  /** Resolves after its end, when what it wrote into volumes is committed, or with why it cannot be. */
  readonly settled?: Promise<string | null>;
  readonly hasVolumes?: boolean;
  readonly id: string;
  readonly pid: number | null;
  /** Carries batches of frames (wire/frames). */
  readonly channel: Channel;
  /** Puts memory, cpu and process limits on it; does nothing where the host has no cgroups. */
  limit(limits: ContainerLimits): void;
  /** SIGKILL of the process and all that it started. */
  kill(): void;
  /** Lines of stdout and stderr, from the moment of the call. */
  onOutput(listener: (line: { readonly stream: 'stdout' | 'stderr'; readonly text: string }) => void): void;
  readonly exited: Promise<ContainerExit>;
  /** Of one whose `exited` may say only that nobody hears of it any more: resolves when none of its code runs. */
  readonly gone?: Promise<void>;
}

export interface ContainerLimits {
  readonly memoryMb: number;
  readonly cpu: number;
}

export interface ContainerExit {
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly outOfMemory: boolean;
  /** Where nobody knows its end: what is known instead. */
  readonly why?: string;
}
