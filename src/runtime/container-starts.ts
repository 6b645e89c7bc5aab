import type { Clock } from '../common/clock.js';
import { HoldfastError } from '../common/errors.js';
import type { ContainerStarter } from '../common/ports/container.js';
import { Container, type ContainerEvents } from './container.js';

/** What warm containers are made for: a class that asks for more has its own started, with a larger heap. */
const warmMemoryMb = 1_024;

/**
 * Starts containers that have no class yet, and keeps some of them warm.
 *
 * I1. After `close` none is handed out and none is left, also none that was just being started.
 */
export class ContainerStarts {
  readonly #starter: ContainerStarter;
  readonly #clock: Clock;
  readonly #warmSize: number;
  readonly #eventsOf: (container: Container) => ContainerEvents;
  readonly #warm: Container[] = [];
  readonly #underway = new Set<Promise<Container>>();
  #filling = 0;
  #isClosed = false;

  constructor(deps: {
    readonly starter: ContainerStarter;
    readonly clock: Clock;
    readonly warmSize: number;
    readonly eventsOf: (container: Container) => ContainerEvents;
  }) {
    this.#starter = deps.starter;
    this.#clock = deps.clock;
    this.#warmSize = deps.warmSize;
    this.#eventsOf = deps.eventsOf;
  }

  /** @throws Unavailable after `close` */
  checkOpen(): void {
    if (!this.#isClosed) return;
    throw new HoldfastError('Unavailable', 'the worker is ending and starts no containers any more');
  }

  /** Fills up in the background; a start that fails is tried again when the next container is taken. */
  fill(): void {
    while (!this.#isClosed && this.#warm.length + this.#filling < this.#warmSize) {
      this.#filling++;
      void this.start(warmMemoryMb)
        .then((container) => void this.#warm.push(container))
        .catch(() => undefined) // the one who needs a container meets the same error and tells it
        .finally(() => this.#filling--);
    }
  }

  /** A warm one, or null; the next one is on its way. The news of a death can be late: one that hung up is none. */
  takeWarm(memoryMb: number): Container | null {
    let warm = memoryMb <= warmMemoryMb ? this.#warm.shift() : undefined;
    while (warm !== undefined && !warm.isUsable) {
      warm.kill();
      warm = this.#warm.shift();
    }
    this.fill();
    return warm ?? null;
  }

  /** @throws Unavailable */
  start(memoryMb: number): Promise<Container> {
    const starting = this.#start(memoryMb).finally(() => this.#underway.delete(starting));
    this.#underway.add(starting);
    return starting;
  }

  /** Resolves when all that were started and not taken are gone. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.allSettled([...this.#warm.map((container) => container.killed()), ...this.#underway]);
  }

  async #start(memoryMb: number): Promise<Container> {
    this.checkOpen();
    const container = new Container(await this.#starter.start(memoryMb), this.#clock);
    const events = this.#eventsOf(container);
    container.listen({
      ...events,
      onDied: (exit) => {
        const index = this.#warm.indexOf(container);
        if (index >= 0) this.#warm.splice(index, 1);
        events.onDied(exit);
      },
    });
    if (this.#isClosed) await container.killed();
    this.checkOpen();
    return container;
  }
}
