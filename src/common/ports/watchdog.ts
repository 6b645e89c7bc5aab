import type { Monotonic } from '../clock.js';

/**
 * The process beside a worker that kills its containers when the worker is dead or past its deadline, sees them gone, and
 * only then releases the lease (S7).
 */
export interface Watchdog {
  /** Resolves when the watchdog has it: no user code runs in a container before that. */
  guard(container: GuardedContainer): Promise<void>;
  /** The container is gone; its cgroup is removed. */
  release(containerId: string): void;
  /** The lease was renewed: nothing is killed before `deadline`. */
  extend(deadline: Monotonic): void;
  /** Resolves when the watchdog process has ended, for whatever reason: the worker fences itself. */
  readonly died: Promise<void>;
  /** Clean stop of a worker whose containers are gone: the lease is released, the process ends. */
  stop(): Promise<void>;
}

export interface GuardedContainer {
  readonly containerId: string;
  readonly pid: number;
  /** Folders of its cgroups, one per hierarchy; empty where the host has none (then its process group is killed). */
  readonly cgroups: readonly string[];
}
