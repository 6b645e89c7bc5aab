import { systemClock, systemRandom } from '../../adapters/system/clock.js';
import type { InstanceClass } from '../../common/activation.js';
import { HoldfastError } from '../../common/errors.js';
import type { ContainerExit } from '../../common/ports/container.js';
import type { Scratch } from '../../common/ports/sandbox.js';
import type { SessionView } from '../../common/sandbox-methods.js';
import { TimerWheel } from '../../common/timer-wheel.js';
import type { MountReference } from '../../common/volume-mounts.js';
import { defaultDiskGb } from '../../runtime/hosting/own-container.js';
import type { ImageBuilds } from '../../runtime/images/image-builds.js';
import { OutputBudget } from '../../runtime/sandbox/guest/output-budget.js';
import { OutputPace } from '../../runtime/sandbox/guest/output-pace.js';
import type { SandboxContainer } from '../../runtime/sandbox/sandbox-container.js';
import { SandboxFactory } from '../../runtime/sandbox/sandbox-factory.js';
import { sessionOutputBytes } from '../../runtime/sandbox/sandboxes.js';
import { sessionClass } from '../../runtime/sandbox/session-class.js';
import type { SessionMemory } from '../../runtime/sandbox/session-parts.js';
import { createChannelPair } from '../../wire/link/channel-pair.js';
import { openLocalPlatform } from './sandbox-platform.js';

export interface LocalSandboxOptions {
  readonly timeoutMs: number;
  readonly memoryMb: number;
  readonly cpu: number;
  readonly diskGb?: number;
  /** Gives the id of the image that it starts with. */
  readonly image?: (builds: ImageBuilds) => Promise<string>;
  readonly startupTimeoutMs: number;
  readonly volumes?: readonly MountReference[];
  /** Variables of all its commands. */
  readonly env: Readonly<Record<string, string>>;
}

/** What runs for a session until it sleeps or ends. */
export interface LocalStart {
  readonly instanceClass: InstanceClass;
  /** Resolves when its processes have ended, however. */
  readonly died: Promise<ContainerExit>;
}

const wheelTickMs = 10;
const wheel = new TimerWheel(systemClock, wheelTickMs);
/** Of all sandboxes of this process. */
const pace = new OutputPace(systemClock);

/** A sandbox of this machine for one session of this process: its files from the first start to the end, its processes from start to sleep. */
export class LocalSandbox {
  readonly #options: LocalSandboxOptions;
  #container: SandboxContainer | null = null;
  #scratch: Scratch | null = null;
  #memory: SessionMemory | null = null;
  #starting: Promise<LocalStart> | null = null;
  #isOver = false;

  constructor(options: LocalSandboxOptions) {
    this.#options = options;
  }

  /** First, and again after each sleep. @throws SandboxUnavailable, saying what to install */
  start(): Promise<LocalStart> {
    this.#starting = this.#start();
    return this.#starting;
  }

  /** Null: it sleeps. */
  async view(): Promise<SessionView | null> {
    const view = this.#container?.describe().catch(() => null); // it has just ended
    return (await view) ?? null;
  }

  /** Resolves when none of its processes is left; its files stay. */
  async sleep(): Promise<void> {
    const container = this.#container;
    this.#container = null;
    if (container === null) return;
    container.kill();
    await container.exited;
    container.guest.close();
    await container.remove();
  }

  /** Resolves when nothing of it is left. */
  async end(): Promise<void> {
    this.#isOver = true;
    await this.#starting?.catch(() => undefined); // told to the one who starts it
    await this.sleep();
    await this.#scratch?.remove();
    this.#scratch = null;
  }

  async #start(): Promise<LocalStart> {
    this.#checkNotOver();
    const { memoryMb, timeoutMs, diskGb = defaultDiskGb, image, startupTimeoutMs, volumes = [], env } = this.#options;
    const platform = await openLocalPlatform();
    const factory = new SandboxFactory(platform, systemRandom);
    const { left } = createChannelPair();
    const id = this.#scratch === null ? await image?.(platform.builds) : undefined;
    const container = await factory.start({
      ...{ memoryMb, diskGb, channel: left, scratch: this.#scratch, volumes },
      image: id === undefined ? null : { id, withinMs: startupTimeoutMs },
      onKeep: (_, memory) => {
        this.#memory = memory;
      },
    });
    this.#container = container;
    this.#scratch = container.scratch;
    try {
      this.#checkNotOver();
      container.limit(this.#options);
    } catch (e) {
      await this.sleep();
      throw e;
    }
    const budget = new OutputBudget(sessionOutputBytes);
    const parts = { clock: systemClock, wheel, budget, pace, tickets: null, resumed: this.#memory };
    return {
      instanceClass: sessionClass(container, parts, () => ({ timeoutMs, memoryMb, env })),
      died: container.exited,
    };
  }

  #checkNotOver(): void {
    if (this.#isOver) throw new HoldfastError('InstanceClosed', 'the session was closed while its sandbox started');
  }
}
