import { availableParallelism } from 'node:os';
import type { Duplex } from 'node:stream';
import type { Random } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import type { Channel } from '../../common/ports/channel.js';
import type { ContainerMount } from '../../common/ports/container.js';
import type { Guest } from '../../common/ports/guest.js';
import type { IsolatedBind, IsolationBackend, Scratch } from '../../common/ports/sandbox.js';
import type { NetworkPolicy } from '../../common/session-options.js';
import type { ImageBuilds } from '../images/image-builds.js';
import type { ImageStart, Images } from '../images/images.js';
import type { ContainerMounts, MountVolumes } from '../mounts/container-mounts.js';
import { maxPids, SandboxContainer } from './sandbox-container.js';
import { sandboxEnv } from './sandbox-env.js';
import type { SessionMemory } from './session-parts.js';
import { Turns } from './turns.js';

/** How this host runs sandboxes. */
export interface SandboxPlatform {
  readonly backend: IsolationBackend;
  readonly images: Images;
  readonly builds: ImageBuilds;
  /** The agent's program and arguments, and what must be seen inside for it. */
  readonly agent: { readonly argv: readonly [string, ...string[]]; readonly binds: readonly IsolatedBind[] };
  /** Volumes for sandboxes and class containers. @throws NotFound, Unavailable */
  readonly mountVolumes: MountVolumes;
  /** Ends what serves them; after the last container. */
  readonly closeMounts: () => Promise<void>;
  /** @throws Unavailable where nobody answers in time */
  readonly openGuest: (socket: Duplex) => Promise<Guest>;
  /** Lets programs inside out, as far as the policy says; gives the variables that tell them how. */
  readonly openNetwork: (guest: Guest, policy: NetworkPolicy) => Promise<Readonly<Record<string, string>>>;
}

/** What a sandbox is started with; its limits can be changed later. */
export interface SandboxStart {
  readonly memoryMb: number;
  readonly diskGb: number;
  readonly channel: Channel;
  /** Null: none yet. */
  readonly scratch: Scratch | null;
  /** What a new scratch stands on; null: the programs of the host. */
  readonly image: ImageStart | null;
  readonly volumes: readonly ContainerMount[];
  readonly onKeep: (container: SandboxContainer, memory: SessionMemory) => void;
}

const idBytes = 10;
/** Of this process: namespaces and mounts are made one after the other by the kernel, and hundreds that wait there slow each other. */
const starts = new Turns(Math.max(4, 2 * availableParallelism()));

/** Starts sandboxes that have no session yet: walls, files, and the agent inside. */
export class SandboxFactory {
  readonly platform: SandboxPlatform;
  readonly #random: Random;

  constructor(platform: SandboxPlatform, random: Random) {
    this.platform = platform;
    this.#random = random;
  }

  /** Nothing is left where this rejects, but a scratch that was given. @throws SandboxUnavailable, Unavailable, and what making a scratch of the image throws */
  async start(start: SandboxStart): Promise<SandboxContainer> {
    const { scratch: given } = start;
    if (given !== null) return await this.#startIn(given, start);
    const { images, backend } = this.platform;
    const scratch = await images.createScratch(this.#newId(), { ...start, backend });
    try {
      return await this.#startIn(scratch, start);
    } catch (e) {
      await scratch.remove().catch(() => undefined); // the first error says more
      throw e;
    }
  }

  async #startIn(scratch: Scratch, start: SandboxStart): Promise<SandboxContainer> {
    const id = this.#newId();
    const mounts = await this.platform.mountVolumes({
      id,
      uid: scratch.uid,
      volumes: start.volumes,
      diskGb: start.diskGb,
    });
    try {
      // Its volumes are there: those that wait for a store take no turn from others.
      return await starts.take(() => this.#startWith(mounts, { id, scratch }, start));
    } catch (e) {
      await mounts.detach();
      throw e;
    }
  }

  async #startWith(
    mounts: ContainerMounts,
    { id, scratch }: { readonly id: string; readonly scratch: Scratch },
    { memoryMb, channel, onKeep }: SandboxStart,
  ): Promise<SandboxContainer> {
    const { backend, images, builds, agent, openGuest, openNetwork } = this.platform;
    const process = await backend.start({
      id,
      argv: agent.argv,
      env: sandboxEnv,
      isPid1: true,
      yields: true,
      scratch,
      binds: [...agent.binds, ...mounts.binds],
      limits: { memoryMb, cpu: 1, pids: maxPids },
    });
    try {
      const guest = await openGuest(process.socket);
      const container: SandboxContainer = new SandboxContainer({
        ...{ process, guest, scratch, channel, openNetwork, mounts },
        settings: images.settingsOf(scratch),
        takeSnapshot: (signal) => images.snapshot(scratch, signal),
        buildImage: (recipe, files, watch) => builds.build(recipe, files, watch),
        onKeep: (memory) => onKeep(container, memory),
      });
      // An agent that breaks its link is as good as dead.
      void guest.closed.then(() => container.kill());
      return container;
    } catch (e) {
      await process.remove();
      throw didNotComeUp(e, process.lastWords);
    }
  }

  #newId(): string {
    return `s${Buffer.from(this.#random.bytes(idBytes)).toString('hex')}`;
  }
}

function didNotComeUp(cause: unknown, lastWords: string): unknown {
  if (lastWords === '') return cause;
  const why = cause instanceof Error ? cause.message : String(cause);
  return new HoldfastError('Unavailable', `the sandbox did not come up: ${why}; it said: ${lastWords}`, { cause });
}
