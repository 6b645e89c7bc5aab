import type { TimerWheel } from '../common/timer-wheel.js';

/** What somebody waits for. */
export interface AwaitedEnd {
  /** Resolves when the call is said to have ended, or its time is over. */
  readonly passed: Promise<void>;
  /** Nobody waits any more. */
  leave(): void;
}

/** Wakes those who wait for spawned calls to end, and nobody else. What is said may be lost: every wait has an end and is followed by a look. */
export class SpawnedEnds {
  readonly #wheel: TimerWheel;
  readonly #waiting = new Map<string, Set<() => void>>();

  constructor(wheel: TimerWheel) {
    this.#wheel = wheel;
  }

  /** Begins before the look: what ends meanwhile must not be missed. */
  await(id: string, atMostMs: number): AwaitedEnd {
    let pass: () => void = () => undefined;
    const passed = new Promise<void>((resolve) => {
      pass = resolve;
    });
    const timer = this.#wheel.add(atMostMs, pass);
    const others = this.#waiting.get(id);
    if (others === undefined) this.#waiting.set(id, new Set([pass]));
    else others.add(pass);
    const leave = (): void => {
      this.#wheel.remove(timer);
      const waiting = this.#waiting.get(id);
      if (waiting?.delete(pass) && waiting.size === 0) this.#waiting.delete(id);
    };
    return { passed, leave };
  }

  ended(id: string): void {
    for (const pass of this.#waiting.get(id) ?? []) pass();
  }
}
