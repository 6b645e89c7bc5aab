import type { Clock } from '../../common/clock.js';
import type { ImageSettings } from '../../common/image.js';
import type { ImageRecipe } from '../../common/image-recipe.js';
import type { Guest } from '../../common/ports/guest.js';
import type { FilesTaken } from '../../common/ports/sandbox.js';
import type { NetworkPolicy } from '../../common/session-options.js';
import type { TimerWheel } from '../../common/timer-wheel.js';
import type { BuildFiles } from '../images/build-step.js';
import type { BuildWatch } from '../images/shared-build.js';
import type { ByteTickets } from './guest/byte-tickets.js';
import type { OutputBudget } from './guest/output-budget.js';
import type { OutputPace } from './guest/output-pace.js';

/** What a session remembers beside its files while it sleeps, and passes on to its forks. */
export interface SessionMemory {
  readonly cwd: string;
  /** Variables that it was given or has set; what its sandbox gives it, secrets above all, it gets anew. */
  readonly env: Readonly<Record<string, string>>;
  /** Variables of its sandbox that it has taken away. */
  readonly unsetEnv: readonly string[];
}

/** What a session's host works with. */
export interface SessionParts {
  /** `app/sandbox/id`, for messages; known when it is loaded. */
  readonly label: string;
  readonly guest: Guest;
  /** Null: its clients are in this process, bytes come and go by calls. */
  readonly tickets: ByteTickets | null;
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly budget: OutputBudget;
  /** Of all sessions of the worker. */
  readonly pace: OutputPace;
  /** Of one command. */
  readonly timeoutMs: number;
  readonly memoryMb: number;
  /** What every command has unless it is told otherwise. */
  readonly baseEnv: Readonly<Record<string, string>>;
  /** Of before it slept. */
  readonly resumed: SessionMemory | null;
  readonly box: SessionBox;
}

/** The walls around a session, as its host uses them. */
export interface SessionBox {
  memoryBytes(): number;
  files(): Promise<FilesTaken | null>;
  /** Processes inside that the kernel killed for want of memory. */
  outOfMemoryKills(): number;
  /** Gives the variables through which programs find the way out; none for `none`. */
  openNetwork(policy: NetworkPolicy): Promise<Readonly<Record<string, string>>>;
  /** Of its files, as an image, whose id it gives. @throws NoCapacity where a disk is full, Unavailable, the signal's reason */
  snapshot(signal: AbortSignal): Promise<string>;
  /** Of the image that it is of. */
  readonly settings: ImageSettings;
  /** Of that recipe, on this host; gives the image's id. @throws as ImageBuilds does */
  buildImage(recipe: ImageRecipe, files: BuildFiles, watch: BuildWatch): Promise<string>;
  /** Its files stay when its processes end. */
  keep(memory: SessionMemory): void;
  kill(): void;
  /** Resolves when its processes have ended. */
  readonly exited: Promise<unknown>;
}
