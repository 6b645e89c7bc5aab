import type { Clock, Random } from '../../common/clock.js';
import type { Generation, InstanceKey } from '../../common/ids.js';
import type { Channel } from '../../common/ports/channel.js';
import type { ContainerFiles, ContainerProcess, ContainerStarter, OwnContainer } from '../../common/ports/container.js';
import type { IsolationBackend, Scratch } from '../../common/ports/sandbox.js';
import type { SessionView } from '../../common/sandbox-methods.js';
import type { TimerWheel } from '../../common/timer-wheel.js';
import type { LoadBody } from '../../wire/frames/frames.js';
import { createChannelPair } from '../../wire/link/channel-pair.js';
import { runContainer } from '../container/run-container.js';
import { defaultDiskGb } from '../hosting/own-container.js';
import type { ByteTickets } from './guest/byte-tickets.js';
import { OutputBudget } from './guest/output-budget.js';
import { OutputPace } from './guest/output-pace.js';
import type { SandboxContainer } from './sandbox-container.js';
import { SandboxFactory, type SandboxPlatform } from './sandbox-factory.js';
import { sessionClass } from './session-class.js';
import type { SessionMemory } from './session-parts.js';

export interface SandboxesOptions {
  readonly platform: SandboxPlatform;
  readonly clock: Clock;
  readonly random: Random;
  readonly wheel: TimerWheel;
  readonly tickets: ByteTickets;
}

/** A session that sleeps here. */
interface Asleep {
  readonly generation: Generation;
  readonly scratch: Scratch;
  readonly memory: SessionMemory;
  /** Resolves when the processes that used its files are gone. */
  readonly free: Promise<void>;
}

/** Of all sessions of a worker, and of one. */
const outputBytes = 536_870_912;
export const sessionOutputBytes = 134_217_728;

/**
 * The sandboxes of one boot of a worker, as containers: those that run, and the files of sessions that sleep.
 *
 * I1. Files outlive their sandbox only where its session's `exit` hook said so; all else goes with it.
 * I2. Files have one sandbox at a time: the next one starts when the last one is gone.
 * I3. After `close` nothing of any of them is left.
 */
export class Sandboxes implements ContainerStarter {
  readonly #clock: Clock;
  readonly #wheel: TimerWheel;
  readonly #tickets: ByteTickets;
  readonly #factory: SandboxFactory;
  readonly #budget = new OutputBudget(outputBytes);
  readonly #pace: OutputPace;
  readonly #running = new Map<string, SandboxContainer>();
  readonly #asleep = new Map<InstanceKey, Asleep>();
  /** By container id: whose files it has. */
  readonly #owners = new Map<string, { readonly key: InstanceKey; readonly generation: Generation }>();
  /** Ids of containers whose files sleep on. */
  readonly #kept = new Set<string>();
  readonly #reaping = new Set<Promise<void>>();
  #isClosed = false;

  constructor({ platform, clock, random, wheel, tickets }: SandboxesOptions) {
    this.#clock = clock;
    this.#wheel = wheel;
    this.#tickets = tickets;
    this.#pace = new OutputPace(clock);
    this.#factory = new SandboxFactory(platform, random);
  }

  get isolation(): IsolationBackend['kind'] {
    return this.#factory.platform.backend.kind;
  }

  /** A session that sleeps here has its files here. */
  isAsleep(key: InstanceKey): boolean {
    return this.#asleep.has(key);
  }

  /** @throws SandboxUnavailable, Unavailable */
  async start(memoryMb: number, own: ContainerFiles | OwnContainer = {}): Promise<ContainerProcess> {
    const asleep = 'key' in own ? this.#asleep.get(own.key) : undefined;
    if (!('key' in own) || asleep === undefined) return await this.#start({ ...own, memoryMb }, null);
    this.#asleep.delete(own.key);
    try {
      await asleep.free;
      const { volumes = [], diskGb = defaultDiskGb } = own;
      return await this.#start({ memoryMb, volumes, diskGb }, asleep);
    } catch (e) {
      // Its files are still good: the next call tries again.
      this.#asleep.set(own.key, asleep);
      throw e;
    }
  }

  /** Tells whose files a sandbox's are. */
  assign(containerId: string, key: InstanceKey, generation: Generation): void {
    this.#owners.set(containerId, { key, generation });
  }

  /** A session that slept here was closed: its files go. */
  forget(key: InstanceKey, generation: Generation): void {
    const asleep = this.#asleep.get(key);
    if (asleep?.generation !== generation) return;
    this.#asleep.delete(key);
    this.#reap(asleep.free.then(() => asleep.scratch.remove()));
  }

  /** Null: there is no such session. */
  async describe(containerId: string): Promise<SessionView | null> {
    return (await this.#running.get(containerId)?.describe()) ?? null;
  }

  /** Resolves when nothing is left. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const container of this.#running.values()) container.kill();
    for (const [key, { generation }] of [...this.#asleep]) this.forget(key, generation);
    await this.#factory.platform.builds.close();
    await this.#factory.platform.images.close();
    await Promise.all(this.#reaping);
    await this.#factory.platform.closeMounts();
    await this.#factory.platform.backend.close();
  }

  async #start(
    { memoryMb, diskGb = defaultDiskGb, image, volumes = [] }: { readonly memoryMb: number } & Partial<OwnContainer>,
    asleep: Asleep | null,
  ): Promise<SandboxContainer> {
    const { left, right } = createChannelPair();
    const container = await this.#factory.start({
      memoryMb,
      diskGb,
      channel: left,
      scratch: asleep?.scratch ?? null,
      image: image ?? null,
      volumes,
      onKeep: (kept, memory) => this.#fallAsleep(kept, memory),
    });
    this.#serve(container, right, asleep?.memory ?? null);
    return container;
  }

  /** The session's end of the frames, in this process; see runtime/container. */
  #serve(container: SandboxContainer, channel: Channel, resumed: SessionMemory | null): void {
    const budget = new OutputBudget(sessionOutputBytes, this.#budget);
    const shared = { clock: this.#clock, wheel: this.#wheel, tickets: this.#tickets, pace: this.#pace };
    const parts = { ...shared, budget, resumed };
    let facts = { timeoutMs: 0, memoryMb: 0, env: {} };
    const session = sessionClass(container, parts, () => facts);
    runContainer({
      channel,
      clock: this.#clock,
      load: async ({ timeoutMs, memoryMb, env }: LoadBody) => {
        facts = { timeoutMs, memoryMb, env };
      },
      resolveClass: () => session,
      isBuiltIn: true,
      onTransport: () => undefined,
    });
    this.#running.set(container.id, container);
    this.#reap(this.#end(container));
    void container.exited.then(() => {
      budget.close();
      channel.close();
    });
  }

  /** Its files have their next owner from here on: the pin will say so before its processes are gone. */
  #fallAsleep(container: SandboxContainer, memory: SessionMemory): void {
    const owner = this.#owners.get(container.id);
    if (owner === undefined || this.#isClosed) return;
    const free = container.exited.then(() => container.remove()).then(async () => void (await container.settled));
    free.catch(() => undefined); // told to whoever wakes it
    this.#kept.add(container.id);
    this.#asleep.set(owner.key, { generation: owner.generation, scratch: container.scratch, memory, free });
  }

  /** From the end of its processes to the end of its files, unless they sleep. */
  async #end(container: SandboxContainer): Promise<void> {
    await container.exited;
    container.guest.close();
    this.#running.delete(container.id);
    this.#owners.delete(container.id);
    await container.remove();
    await container.settled;
    if (!this.#kept.delete(container.id)) await container.scratch.remove();
  }

  #reap(work: Promise<void>): void {
    // What cannot be removed now is removed at the next start of a worker here.
    const reaping = work.catch(() => undefined).finally(() => this.#reaping.delete(reaping));
    this.#reaping.add(reaping);
  }
}
