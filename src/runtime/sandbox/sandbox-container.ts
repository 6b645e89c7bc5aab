import type { ImageSettings } from '../../common/image.js';
import type { ImageRecipe } from '../../common/image-recipe.js';
import type { Channel } from '../../common/ports/channel.js';
import type { ContainerExit, ContainerLimits, ContainerProcess } from '../../common/ports/container.js';
import type { Guest } from '../../common/ports/guest.js';
import type { FilesTaken, IsolatedProcess, Scratch } from '../../common/ports/sandbox.js';
import type { SessionView } from '../../common/sandbox-methods.js';
import type { NetworkPolicy } from '../../common/session-options.js';
import type { BuildFiles } from '../images/build-step.js';
import type { BuildWatch } from '../images/shared-build.js';
import { type ContainerMounts, settledAfter } from '../mounts/container-mounts.js';
import type { SessionHost } from './session-host.js';
import type { SessionBox, SessionMemory } from './session-parts.js';

/** Processes and threads of one sandbox. */
export const maxPids = 1_024;

/** What a sandbox is made of. */
export interface SandboxInit {
  readonly process: IsolatedProcess;
  readonly guest: Guest;
  readonly scratch: Scratch;
  readonly mounts: ContainerMounts;
  /** The worker's end of the session's frames. */
  readonly channel: Channel;
  /** Its session's files stay when its processes end. */
  readonly onKeep: (memory: SessionMemory) => void;
  /** Of the image that it is of. */
  readonly settings: ImageSettings;
  /** For whoever its session is the place of. */
  readonly buildImage: SessionBox['buildImage'];
  /** Of its files, as they are at one moment. */
  readonly takeSnapshot: (signal: AbortSignal) => Promise<string>;
  readonly openNetwork: (guest: Guest, policy: NetworkPolicy) => Promise<Readonly<Record<string, string>>>;
}

/** One sandbox that runs: its process with the agent in it, and the session's host in this process. */
export class SandboxContainer implements ContainerProcess, SessionBox {
  readonly id: string;
  readonly pid: number;
  readonly channel: Channel;
  readonly exited: Promise<ContainerExit>;
  readonly settled: Promise<string | null>;
  readonly hasVolumes: boolean;
  readonly guest: Guest;
  readonly scratch: Scratch;
  readonly #process: IsolatedProcess;
  readonly settings: ImageSettings;
  readonly #buildImage: SandboxInit['buildImage'];
  readonly #openNetwork: SandboxInit['openNetwork'];
  readonly #takeSnapshot: SandboxInit['takeSnapshot'];
  readonly #onKeep: SandboxInit['onKeep'];
  #host: SessionHost | null = null;
  /** Seen while it ran: whoever ends it for that ends it by another signal. */
  #ranOutOfMemory = false;

  constructor(init: SandboxInit) {
    const { process, guest, scratch, channel, mounts, takeSnapshot, openNetwork, onKeep } = init;
    this.settings = init.settings;
    this.#buildImage = init.buildImage;
    this.id = process.id;
    this.pid = process.pid;
    this.exited = process.exited.then((exit) => (this.#ranOutOfMemory ? { ...exit, outOfMemory: true } : exit));
    this.channel = channel;
    this.guest = guest;
    this.scratch = scratch;
    this.#process = process;
    this.#takeSnapshot = takeSnapshot;
    this.#openNetwork = openNetwork;
    this.#onKeep = onKeep;
    this.settled = settledAfter(process, mounts);
    this.hasVolumes = mounts.binds.length > 0;
  }

  limit({ memoryMb, cpu }: ContainerLimits): void {
    this.#process.limit({ memoryMb, cpu, pids: maxPids });
  }

  /** @throws Unavailable, InvalidArgument */
  openNetwork(policy: NetworkPolicy): Promise<Readonly<Record<string, string>>> {
    return this.#openNetwork(this.guest, policy);
  }

  snapshot(signal: AbortSignal): Promise<string> {
    return this.#takeSnapshot(signal);
  }

  buildImage(recipe: ImageRecipe, files: BuildFiles, watch: BuildWatch): Promise<string> {
    return this.#buildImage(recipe, files, watch);
  }

  hosts(host: SessionHost): void {
    this.#host = host;
  }

  /** Null: it has no session. */
  async describe(): Promise<SessionView | null> {
    return (await this.#host?.describe()) ?? null;
  }

  keep(memory: SessionMemory): void {
    this.#onKeep(memory);
  }

  memoryBytes(): number {
    return this.#process.memoryBytes();
  }

  files(): Promise<FilesTaken | null> {
    return this.#process.files();
  }

  outOfMemoryKills(): number {
    const kills = this.#process.outOfMemoryKills();
    this.#ranOutOfMemory ||= kills > 0;
    return kills;
  }

  kill(): void {
    this.#process.kill();
  }

  /** Resolves when nothing of its processes, mounts and cgroup is left. The scratch stays. */
  remove(): Promise<void> {
    return this.#process.remove();
  }

  onOutput(listener: (line: { readonly stream: 'stdout' | 'stderr'; readonly text: string }) => void): void {
    this.#process.onOutput(listener);
  }
}
