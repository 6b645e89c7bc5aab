import type { Clock } from '../common/clock.js';
import { HoldfastError } from '../common/errors.js';
import type { ContainerStarter } from '../common/ports/container.js';
import type { BundleCache } from './bundle-cache.js';
import { Container, type ContainerEvents } from './container.js';
import type { LoadedClass } from './loaded-class.js';

export interface PoolLimits {
  /** Containers that run a class at once; warm ones are not counted. */
  readonly maxContainers: number;
  /** Generic containers that wait for a class. */
  readonly warm: number;
}

/** What warm containers are made for: a class that asks for more has its own started, with a larger heap. */
const warmMemoryMb = 1_024;

/** A container with the bundle of one class, and its places. */
interface ClassContainer {
  readonly container: Container;
  readonly klass: LoadedClass;
  places: number;
  readonly ready: Promise<void>;
}

/** A place for one instance in a container that has its class. */
export interface Place {
  readonly container: Container;
  /** Resolves when the bundle is loaded. @throws ActivationFailed */
  readonly ready: Promise<void>;
}

/**
 * The containers of a worker. Warm ones hide Node's start; one that has run user code is never used for another class, nor
 * again once it is empty: what a module left behind must not be seen by the next instance.
 */
export class ContainerPool {
  readonly #starter: ContainerStarter;
  readonly #clock: Clock;
  readonly #bundles: BundleCache;
  readonly #limits: PoolLimits;
  readonly #env: Readonly<Record<string, string>>;
  readonly #eventsOf: (container: Container) => ContainerEvents;
  readonly #warm: Container[] = [];
  readonly #used = new Map<Container, ClassContainer>();
  /** By class label: containers with room. */
  readonly #open = new Map<string, Set<ClassContainer>>();
  /** By label of a packed class: its container that is being started. */
  readonly #starting = new Map<string, Promise<ClassContainer>>();
  #taking = 0;
  #filling = 0;
  #isClosed = false;

  constructor(deps: {
    readonly starter: ContainerStarter;
    readonly clock: Clock;
    readonly bundles: BundleCache;
    readonly limits: PoolLimits;
    readonly env: Readonly<Record<string, string>>;
    readonly eventsOf: (container: Container) => ContainerEvents;
  }) {
    this.#starter = deps.starter;
    this.#clock = deps.clock;
    this.#bundles = deps.bundles;
    this.#limits = deps.limits;
    this.#env = deps.env;
    this.#eventsOf = deps.eventsOf;
  }

  get containers(): number {
    return this.#used.size + this.#taking;
  }

  /** By class label: how many more instances its containers can take. */
  openPlaces(): Record<string, number> {
    const places: Record<string, number> = {};
    for (const [label, open] of this.#open) {
      places[label] = 0;
      for (const used of open) places[label] += used.places;
    }
    return places;
  }

  hasRoomFor(klass: LoadedClass): boolean {
    return this.#open.has(klass.label) || this.containers < this.#limits.maxContainers;
  }

  /** Fills the warm pool in the background; a start that fails is tried again when the next container is taken. */
  fill(): void {
    while (!this.#isClosed && this.#warm.length + this.#filling < this.#limits.warm) {
      this.#filling++;
      void this.#start(warmMemoryMb)
        .then((container) => {
          if (this.#isClosed) container.kill();
          else this.#warm.push(container);
        })
        .catch(() => undefined) // the one who needs a container meets the same error and tells it
        .finally(() => this.#filling--);
    }
  }

  /** @throws NoCapacity, Unavailable */
  async take(klass: LoadedClass): Promise<Place> {
    for (;;) {
      const [open] = this.#open.get(klass.label) ?? [];
      if (open !== undefined) return this.#occupy(open);
      const starting = this.#starting.get(klass.label);
      if (starting === undefined) return this.#occupy(await this.#assignNew(klass));
      await starting;
    }
  }

  /** The instance has left; the last one takes its container with it. */
  leave(container: Container): void {
    const used = this.#used.get(container);
    if (used === undefined) return;
    used.places++;
    if (used.places >= used.klass.options.tasksPerContainer) {
      this.#forget(container);
      container.kill();
    } else {
      this.#setOpen(used, true);
    }
  }

  /** Kills every container and waits until they are gone. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const all = [...this.#warm, ...this.#used.keys()];
    await Promise.all(all.map((container) => container.killed()));
  }

  /** While a packed class waits for its container's start, others of a burst of names wait for the same one. */
  async #assignNew(klass: LoadedClass): Promise<ClassContainer> {
    if (this.containers >= this.#limits.maxContainers) {
      throw new HoldfastError('NoCapacity', `the worker runs its limit of ${this.#limits.maxContainers} containers`);
    }
    const { memoryMb } = klass.options;
    const warm = memoryMb <= warmMemoryMb ? this.#warm.shift() : undefined;
    this.fill();
    if (warm !== undefined) return this.#assign(warm, klass);
    this.#taking++;
    const starting = this.#start(memoryMb)
      .finally(() => {
        this.#taking--;
        this.#starting.delete(klass.label);
      })
      .then((container) => this.#assign(container, klass));
    if (klass.options.tasksPerContainer > 1) this.#starting.set(klass.label, starting);
    return starting;
  }

  async #start(memoryMb: number): Promise<Container> {
    const container = new Container(await this.#starter.start(memoryMb), this.#clock);
    const events = this.#eventsOf(container);
    container.listen({
      ...events,
      onDied: (exit) => {
        this.#forget(container);
        events.onDied(exit);
      },
    });
    return container;
  }

  #assign(container: Container, klass: LoadedClass): ClassContainer {
    const used: ClassContainer = {
      container,
      klass,
      places: klass.options.tasksPerContainer,
      ready: this.#load(container, klass),
    };
    if (used.places > 0) this.#setOpen(used, true);
    used.ready.catch(() => container.kill()); // reported by every activation that waits for it
    this.#used.set(container, used);
    return used;
  }

  async #load(container: Container, klass: LoadedClass): Promise<void> {
    const bundlePath = await this.#bundles.path(klass.bundleSha256);
    await container.load(klass, {
      containerId: container.id,
      account: klass.account,
      app: klass.app,
      deployment: klass.deployment,
      bundlePath,
      bundleSha256: klass.bundleSha256,
      memoryMb: klass.options.memoryMb,
      env: this.#env,
    });
  }

  #occupy(used: ClassContainer): Place {
    used.places--;
    this.#setOpen(used, used.places > 0);
    return { container: used.container, ready: used.ready };
  }

  #setOpen(used: ClassContainer, isOpen: boolean): void {
    const { label } = used.klass;
    const open = this.#open.get(label);
    if (isOpen) {
      if (open === undefined) this.#open.set(label, new Set([used]));
      else open.add(used);
    } else if (open?.delete(used) && open.size === 0) {
      this.#open.delete(label);
    }
  }

  #forget(container: Container): void {
    const used = this.#used.get(container);
    this.#used.delete(container);
    const index = this.#warm.indexOf(container);
    if (index >= 0) this.#warm.splice(index, 1);
    if (used === undefined) return;
    this.#setOpen(used, false);
    this.fill();
  }
}
