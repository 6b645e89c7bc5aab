import type { InstanceClass } from '../../common/activation.js';
import type { ContainerExit } from '../../common/ports/container.js';
import type { SessionView } from '../../common/sandbox-methods.js';
import type { KeepAlive } from '../sessions/keep-alive.js';
import { sandboxDied } from './local-errors.js';
import type { LocalHost } from './local-host.js';

/** The sandbox of one session: its files from the first start to the end, its processes from start to sleep. */
export interface LocalBox {
  /** First, and again after each sleep. @throws SandboxUnavailable, saying what to install */
  start(): Promise<{
    readonly instanceClass: InstanceClass;
    /** Resolves when its processes have ended, however. */
    readonly died: Promise<ContainerExit>;
  }>;
  /** Null: it sleeps. */
  view(): Promise<SessionView | null>;
  /** Resolves when none of its processes is left; its files stay. */
  sleep(): Promise<void>;
  /** Resolves when nothing of it is left. */
  end(): Promise<void>;
}

export interface LocalLifeParts {
  readonly host: LocalHost;
  readonly box: LocalBox;
  /** Of the session. */
  readonly args: readonly unknown[];
  /** Null: it never sleeps. */
  readonly idleTimeoutMs: number | null;
  readonly memoryMb: number;
  readonly keepAlive: KeepAlive;
}

type LifeState =
  | { readonly phase: 'awake' }
  /** `gone` resolves when its processes are; its files stay. */
  | { readonly phase: 'asleep'; readonly gone: Promise<void> }
  | { readonly phase: 'waking'; readonly done: Promise<void> };

/**
 * The sandbox of a local session and its host, from start to end: asleep when nobody calls, woken by the next call.
 *
 * I1. It falls asleep only in a moment in which nothing runs or waits, and a call that finds it awake is admitted in that moment.
 */
export class LocalLife {
  readonly #parts: LocalLifeParts;
  #state: LifeState = { phase: 'awake' };
  #ended: Promise<void> | null = null;

  constructor(parts: LocalLifeParts) {
    this.#parts = parts;
  }

  get isAsleep(): boolean {
    return this.#state.phase === 'asleep';
  }

  /** The first start. Nothing is left where it rejects. @throws SandboxUnavailable, ActivationFailed */
  async begin(): Promise<void> {
    try {
      await this.#start();
    } catch (e) {
      await this.#parts.box.end();
      throw e;
    }
  }

  /** Null: it is, and what is called in this moment finds it so. @throws what starting a sandbox throws */
  awake(): Promise<void> | null {
    const state = this.#state;
    if (state.phase === 'awake' || this.#parts.host.phase !== 'active') return null;
    if (state.phase === 'waking') return state.done;
    const done = this.#wake(state.gone).catch((e: unknown) => {
      // Its files are still good: the next call tries again.
      this.#state = state;
      throw e;
    });
    this.#state = { phase: 'waking', done };
    return done;
  }

  /** Resolves when nothing of it is left; its host is closed. */
  end(): Promise<void> {
    this.#ended ??= this.#parts.box.end();
    return this.#ended;
  }

  async #wake(gone: Promise<void>): Promise<void> {
    await gone;
    await this.#parts.keepAlive.during(this.#start());
  }

  async #start(): Promise<void> {
    const { host, box, args, memoryMb } = this.#parts;
    const { instanceClass, died } = await box.start();
    try {
      await host.start(args, instanceClass);
    } catch (e) {
      await box.sleep();
      throw e;
    }
    // Before anybody hears of its death.
    this.#state = { phase: 'awake' };
    void died.then(({ outOfMemory }) => {
      const isOurs = this.#state.phase === 'awake' && host.phase === 'active';
      if (isOurs) host.lost(sandboxDied(host.label, { outOfMemory, memoryMb }));
    });
    this.#watchIdle();
  }

  #watchIdle(): void {
    const { host, idleTimeoutMs } = this.#parts;
    if (idleTimeoutMs === null) return;
    const look = (): void => {
      if (host.phase !== 'active') return;
      const quietMs = host.isQuiet ? host.clock.monotonic() - host.quietSince : 0;
      if (quietMs >= idleTimeoutMs) this.#fallAsleep();
      else host.clock.after(idleTimeoutMs - quietMs, look);
    };
    host.clock.after(idleTimeoutMs, look);
  }

  #fallAsleep(): void {
    const { host, box } = this.#parts;
    const gone = host.sleep().then(() => box.sleep());
    gone.catch(() => undefined); // told to the one who wakes it
    this.#state = { phase: 'asleep', gone };
  }
}
