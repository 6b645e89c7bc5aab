import type { Clock, Timer } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import type { ContainerFiles, ContainerStarter, OwnContainer } from '../../common/ports/container.js';
import { Container } from './container.js';
import type { ContainerEvents } from './container-events.js';
import type { LoadedClass } from './loaded-class.js';
import { filesOfClass } from './own-container.js';
import { canBePrepared, type PreparedContainers } from './prepared-containers.js';
import { RecentDemand } from './recent-demand.js';

/** However many are asked for: an idle one costs some 15 MB. */
const mostWarm = 8;
/** That have no class, however many have been given one: the next class may be another. */
const fewestWithoutClass = 1;
/** A start takes a core for as long as a whole first call takes: the one who just took a container goes first. */
const refillAfterMs = 20;
const reviewEveryMs = 5_000;

/**
 * Starts containers that have no class yet, and keeps some of them warm: as many as were asked for within a few seconds,
 * within bounds. All but one of them are prepared for the classes that were asked for, or were started for them where those need
 * files of their own.
 *
 * I1. After `close` none is handed out and none is left, also none that was just being started.
 * I2. Those with a class and those without, together, are no more than were asked for or `mostWarm`, nor fewer than `warmSize`.
 */
export class ContainerStarts {
  readonly #starter: ContainerStarter;
  readonly #clock: Clock;
  readonly #warmSize: number;
  readonly #warmMemoryMb: number;
  readonly #canGrow: boolean;
  readonly #prepared: PreparedContainers;
  readonly #eventsOf: (container: Container) => ContainerEvents;
  readonly #warm: Container[] = [];
  readonly #underway = new Set<Promise<Container>>();
  readonly #demand: RecentDemand;
  #isFilling = false;
  #refill: Timer | null = null;
  #review: Timer | null = null;
  #isClosed = false;

  /** `warmSize`: the fewest that are kept; 0: there are no warm ones. */
  constructor(deps: {
    readonly starter: ContainerStarter;
    readonly clock: Clock;
    readonly warmSize: number;
    readonly warmMemoryMb: number;
    /** Who asks for more than warm ones are made for has its own started. */
    readonly canGrow: boolean;
    readonly prepared: PreparedContainers;
    readonly eventsOf: (container: Container) => ContainerEvents;
  }) {
    this.#starter = deps.starter;
    this.#clock = deps.clock;
    this.#warmSize = deps.warmSize;
    this.#warmMemoryMb = deps.warmMemoryMb;
    this.#canGrow = deps.canGrow;
    this.#prepared = deps.prepared;
    this.#eventsOf = deps.eventsOf;
    this.#demand = new RecentDemand(deps.clock);
  }

  /** @throws Unavailable after `close` */
  checkOpen(): void {
    if (!this.#isClosed) return;
    throw new HoldfastError('Unavailable', 'the worker is ending and starts no containers any more');
  }

  /** Fills up in the background, one after the other; a start that fails is tried again at the next `fillSoon`. */
  fill(): void {
    const wanted = this.#wanted();
    this.#prepared.trim(Math.max(0, wanted - fewestWithoutClass));
    for (const surplus of this.#warm.splice(this.#wantedWithoutClass(wanted))) surplus.kill();
    if (this.#isClosed) return;
    const { count } = this.#prepared;
    if (this.#warm.length + count > this.#warmSize || count > 0) this.#reviewLater();
    this.#prepare();
    if (this.#isFilling) return;
    const own = this.#nextOwn(wanted);
    if (own !== null) this.#startFor(own.klass, own.files);
    else if (this.#warm.length < this.#wantedWithoutClass(wanted)) this.#startWarm();
  }

  /** A moment later, so that nobody waits for it. */
  fillSoon(): void {
    if (this.#isClosed || this.#isFilling || this.#isFull) return;
    this.#refill ??= this.#clock.after(refillAfterMs, () => {
      this.#refill = null;
      this.fill();
    });
  }

  /** The class has a container of its own: it may need more. */
  asked(klass: LoadedClass): void {
    if (this.#isUsual(klass)) this.#prepared.asked(klass);
  }

  /** By class: how many have loaded it and wait for an instance. */
  preparedByClass(): Iterable<{ readonly klass: LoadedClass; readonly count: number }> {
    return this.#prepared.ready();
  }

  /** Of one class. */
  preparedOf(label: string): number {
    return this.#prepared.readyOf(label);
  }

  /** One that has loaded the class, or null. */
  takePrepared(klass: LoadedClass): Container | null {
    const container = this.#prepared.take(klass);
    if (container !== null) this.#demand.add();
    return container;
  }

  /** A warm one, or null, also where warm ones are not what its containers start as. The news of a death can be late: one that hung up is none. */
  takeWarm(klass: Pick<LoadedClass, 'kind' | 'options'>): Container | null {
    const needsOwn = filesOfClass(klass) !== null;
    if (!this.#isUsual(klass) || (needsOwn && !canBePrepared(klass))) return null;
    this.#demand.add();
    if (needsOwn) return null;
    let warm = this.#warm.shift();
    while (warm !== undefined && !warm.isUsable) {
      warm.kill();
      warm = this.#warm.shift();
    }
    return warm ?? null;
  }

  /** @throws Unavailable */
  start(memoryMb: number, own: ContainerFiles | OwnContainer | null): Promise<Container> {
    const starting = this.#start(memoryMb, own).finally(() => this.#underway.delete(starting));
    this.#underway.add(starting);
    return starting;
  }

  /** Resolves when all that were started and not taken are gone. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#refill?.cancel();
    this.#review?.cancel();
    const warm = this.#warm.map((container) => container.killed());
    await Promise.allSettled([...warm, ...this.#underway, this.#prepared.close()]);
  }

  /** Nothing to start, and nobody to prepare one for. */
  get #isFull(): boolean {
    const wanted = this.#wanted();
    if (this.#warm.length < this.#wantedWithoutClass(wanted) || this.#nextOwn(wanted) !== null) return false;
    return this.#warm.length <= fewestWithoutClass || this.#nextWarm() === null;
  }

  #wantedWithoutClass(wanted: number): number {
    return Math.max(Math.min(wanted, fewestWithoutClass), wanted - this.#prepared.count);
  }

  #isUsual({ options }: Pick<LoadedClass, 'options'>): boolean {
    return options.memoryMb <= this.#warmMemoryMb || this.#canGrow;
  }

  /** Who is to be given a warm one. */
  #nextWarm(): LoadedClass | null {
    const most = this.#prepared.mostWanted();
    return most?.files === null ? most.klass : null;
  }

  /** Who is to have one started that it can use alone, in place of a warm one. */
  #nextOwn(wanted: number): { readonly klass: LoadedClass; readonly files: ContainerFiles } | null {
    const most = this.#prepared.mostWanted();
    if (most === null || most.files === null || this.#prepared.count >= wanted - fewestWithoutClass) return null;
    return { klass: most.klass, files: most.files };
  }

  #prepare(): void {
    while (this.#warm.length > fewestWithoutClass) {
      const klass = this.#nextWarm();
      const container = klass === null ? undefined : this.#warm.pop();
      if (klass === null || container === undefined) return;
      this.#prepared.prepare(klass, container);
    }
  }

  #startWarm(): void {
    this.#isFilling = true;
    this.start(this.#warmMemoryMb, null).then(
      (container) => {
        this.#isFilling = false;
        this.#warm.push(container);
        this.fill();
      },
      () => {
        // The one who needs a container meets the same error and tells it.
        this.#isFilling = false;
      },
    );
  }

  #startFor(klass: LoadedClass, files: ContainerFiles): void {
    this.#isFilling = true;
    this.start(klass.options.memoryMb, files).then(
      (container) => {
        this.#isFilling = false;
        this.#prepared.prepare(klass, container);
        this.fill();
      },
      () => {
        // As above; others may still be wanted.
        this.#isFilling = false;
        this.#prepared.giveUp(klass);
        this.fill();
      },
    );
  }

  #wanted(): number {
    if (this.#isClosed) return this.#warm.length;
    if (this.#warmSize === 0) return 0;
    return Math.max(this.#warmSize, Math.min(mostWarm, this.#demand.count));
  }

  /** Those that nobody asks for any more are let go. */
  #reviewLater(): void {
    this.#review ??= this.#clock.after(reviewEveryMs, () => {
      this.#review = null;
      this.fill();
    });
  }

  async #start(memoryMb: number, own: ContainerFiles | OwnContainer | null): Promise<Container> {
    this.checkOpen();
    const container = new Container(await this.#starter.start(memoryMb, own ?? undefined), this.#clock);
    const events = this.#eventsOf(container);
    container.listen({
      ...events,
      onDied: (exit, died) => {
        const index = this.#warm.indexOf(container);
        if (index >= 0) this.#warm.splice(index, 1);
        this.#prepared.forget(container);
        events.onDied(exit, died);
      },
    });
    if (this.#isClosed) await container.killed();
    this.checkOpen();
    return container;
  }
}
