import type { Clock } from '../../common/clock.js';
import { gpuDemand } from '../../common/gpu-demand.js';
import type { ContainerStarter, OwnContainer } from '../../common/ports/container.js';
import type { SecretSource } from '../secret-source.js';
import { ClassLoads } from './class-loads.js';
import type { Container } from './container.js';
import type { ContainerEvents } from './container-events.js';
import type { Place, Room } from './container-place.js';
import { ContainerStarts } from './container-starts.js';
import type { Gpus } from './gpus.js';
import type { LoadedClass } from './loaded-class.js';
import { OpenPlaces } from './open-places.js';
import { filesOfClass } from './own-container.js';
import type { PoolLimits } from './pool-limits.js';
import { PreparedContainers } from './prepared-containers.js';

/** A container with the bundle of one class, and its places. */
interface ClassContainer {
  readonly container: Container;
  readonly klass: LoadedClass;
  places: number;
  readonly ready: Promise<void>;
}

/** Who needs a place, with what a container is loaded with. */
interface Wanted {
  readonly klass: LoadedClass;
  readonly secrets: SecretSource;
  /** Null: one like others of the class. */
  readonly own: OwnContainer | null;
}

/**
 * The containers of a worker. Warm ones hide Node's start, and the load of a class that is asked for often; one that has loaded a
 * class is never used for another, nor again once it is empty: what a module left behind must not be seen by the next instance.
 *
 * I1. Containers that run or are being started, and those that promised places need, never exceed `maxContainers`.
 * I2. A container never holds more instances than `tasksPerContainer`.
 */
export class ContainerPool {
  readonly #maxContainers: number;
  readonly #loads: ClassLoads;
  readonly #starts: ContainerStarts;
  readonly #used = new Map<Container, ClassContainer>();
  /** That ended, or are killed: until what they wrote into volumes is committed, or cannot be. */
  readonly #settling = new Set<Container>();
  readonly #open = new OpenPlaces<ClassContainer>();
  /** By class label: containers that are being started, each with all its places. */
  readonly #starting = new Map<string, Set<Promise<Place>>>();
  /** By class label: places that are promised and not taken yet. */
  readonly #promised = new Map<string, { places: number; readonly perContainer: number; readonly gpus: number }>();
  readonly #gpus: Gpus;

  constructor(deps: {
    readonly starter: ContainerStarter;
    readonly clock: Clock;
    /** Of the class's bundle on this host; empty where it needs none. */
    readonly bundlePath: (klass: LoadedClass) => Promise<string>;
    readonly limits: PoolLimits;
    readonly env: Readonly<Record<string, string>>;
    readonly gpus: Gpus;
    readonly eventsOf: (container: Container) => ContainerEvents;
  }) {
    const { starter, clock, limits, eventsOf } = deps;
    this.#maxContainers = limits.maxContainers;
    this.#gpus = deps.gpus;
    this.#loads = new ClassLoads(deps);
    const prepare = (container: Container, klass: LoadedClass) => this.#loads.load(container, klass, async () => ({}));
    this.#starts = new ContainerStarts({
      starter,
      clock,
      warmSize: limits.warm,
      warmMemoryMb: limits.warmMemoryMb,
      canGrow: limits.canGrow,
      prepared: new PreparedContainers(clock, prepare),
      eventsOf: (container) => {
        const events = eventsOf(container);
        const onDied: ContainerEvents['onDied'] = (exit, died) => {
          this.#forget(container);
          this.#gpus.release(container);
          events.onDied(exit, died);
        };
        return { ...events, onDied };
      },
    });
  }

  get containers(): number {
    let starting = 0;
    for (const ofLabel of this.#starting.values()) starting += ofLabel.size;
    return this.#used.size + starting;
  }

  /** What its containers may use of the host's processors, with one more of this class. */
  cpuWith({ options }: LoadedClass): number {
    let cpu = options.cpu * (1 + this.containers - this.#used.size);
    for (const { klass } of this.#used.values()) cpu += klass.options.cpu;
    return cpu;
  }

  /** GPUs that no container has, nor was promised. */
  get freeGpus(): number {
    return Math.max(0, this.#gpus.total - this.#needed().gpus);
  }

  /**
   * By class label: how many more instances its containers can take, and those that are prepared for it, as many as may still
   * run and fit into this memory.
   */
  openPlaces(freeMemoryMb: number): Record<string, number> {
    const places = this.#open.counts();
    let free = Math.max(0, this.#maxContainers - this.#needed().containers);
    let freeMb = freeMemoryMb;
    for (const { klass, count } of this.#starts.preparedByClass()) {
      const { label, options } = klass;
      const usable = Math.min(count, free, Math.max(0, Math.floor(freeMb / options.memoryMb)));
      if (usable === 0) continue;
      free -= usable;
      freeMb -= usable * options.memoryMb;
      places[label] = (places[label] ?? 0) + usable * options.tasksPerContainer;
    }
    return places;
  }

  /** A running container of the class takes another instance. */
  hasOpenPlace({ label }: LoadedClass): boolean {
    return this.#open.count(label) > 0;
  }

  /** Containers that run, or are prepared for the class, have all the places that are promised. */
  hasPromised({ label, options }: LoadedClass): boolean {
    const prepared = this.#starts.preparedOf(label);
    return this.#open.count(label) + prepared * options.tasksPerContainer >= (this.#promised.get(label)?.places ?? 0);
  }

  /** Null: there is none. @param secrets of the class, where a container has to be loaded for it */
  reserve(klass: LoadedClass, secrets: SecretSource): Room | null {
    const { label, options } = klass;
    const promised = this.#promised.get(label) ?? {
      ...{ places: 0, perContainer: options.tasksPerContainer, gpus: gpuDemand(options.placement) },
    };
    promised.places++;
    this.#promised.set(label, promised);
    let isPromised = true;
    const release = (): void => {
      if (!isPromised) return;
      isPromised = false;
      promised.places--;
      if (promised.places === 0) this.#promised.delete(label);
    };
    const { containers, gpus } = this.#needed();
    if (containers <= this.#maxContainers && (promised.gpus === 0 || gpus <= this.#gpus.total)) {
      return { release, take: (own) => this.#take({ klass, secrets, own }, release).finally(release) };
    }
    release();
    return null;
  }

  /** Fills the warm pool in the background. */
  fill(): void {
    this.#starts.fill();
  }

  /** The same a moment later: a container was taken, and what it was taken for is done. */
  fillSoon(): void {
    this.#starts.fillSoon();
  }

  /** The instance has left; the last one takes its container with it. Resolves when that is gone, with what could not be put away. */
  async leave(container: Container): Promise<string | null> {
    const used = this.#used.get(container);
    if (used !== undefined) {
      used.places++;
      if (used.places < used.klass.options.tasksPerContainer) {
        this.#open.add(used);
        return null;
      }
      this.#forget(container);
    }
    return await container.killed();
  }

  /** Kills every container and waits until they are gone, also those that are just being started; those that ran instances and have not settled. */
  async close(): Promise<readonly Container[]> {
    const used = [...this.#used.keys()];
    await Promise.all([this.#starts.close(), ...used.map((container) => container.stopped())]);
    return [...this.#settling];
  }

  /** @param claimed called in the moment in which the place is taken */
  async #take(wanted: Wanted, claimed: () => void): Promise<Place> {
    const { klass } = wanted;
    for (;;) {
      this.#starts.checkOpen();
      const open = this.#open.one(klass.label);
      if (open !== undefined) {
        claimed();
        return this.#occupy(open);
      }
      const prepared = wanted.own === null ? this.#starts.takePrepared(klass) : null;
      if (prepared !== null) {
        claimed();
        return this.#occupy(this.#use(prepared, wanted, Promise.resolve()));
      }
      const [starting] = this.#starting.get(klass.label) ?? [];
      // A burst of names of a packed class waits for one container.
      if (starting === undefined || klass.options.tasksPerContainer === 1) return this.#takeNew(wanted, claimed);
      await starting;
    }
  }

  async #takeNew(wanted: Wanted, claimed: () => void): Promise<Place> {
    const warm = wanted.own === null ? this.#starts.takeWarm(wanted.klass) : null;
    if (warm === null) return this.#startFor(wanted, claimed);
    claimed();
    return this.#occupy(this.#assign(warm, wanted));
  }

  /** The one who has it started has the first place in it, before those wake up who wait for it (I2). */
  #startFor(wanted: Wanted, claimed: () => void): Promise<Place> {
    const { klass, own } = wanted;
    const { label, options } = klass;
    const ofLabel = this.#starting.get(label) ?? new Set();
    this.#starting.set(label, ofLabel);
    const isOver = (): void => {
      ofLabel.delete(starting);
      if (ofLabel.size === 0 && this.#starting.get(label) === ofLabel) this.#starting.delete(label);
    };
    const starting = this.#starts.start(options.memoryMb, own ?? filesOfClass(klass)).then(
      (container) => {
        isOver();
        claimed();
        return this.#occupy(this.#assign(container, wanted));
      },
      (e: unknown) => {
        isOver();
        throw e;
      },
    );
    ofLabel.add(starting);
    return starting;
  }

  #assign(container: Container, wanted: Wanted): ClassContainer {
    const used = this.#use(container, wanted, this.#loads.load(container, wanted.klass, wanted.secrets));
    // Reported by every activation that waits for it; nobody else may come to it.
    used.ready.catch(() => {
      this.#forget(container);
      container.kill();
    });
    return used;
  }

  /** @param ready when it has the class */
  #use(container: Container, { klass, own }: Wanted, ready: Promise<void>): ClassContainer {
    const used: ClassContainer = { container, klass, places: klass.options.tasksPerContainer, ready };
    this.#used.set(container, used);
    void ready.then(
      () => {
        // One that is prepared for a class would keep its GPUs from those that are asked for.
        if (own === null && gpuDemand(klass.options.placement) === 0) this.#starts.asked(klass);
      },
      () => undefined, // told to those who wait for it
    );
    return used;
  }

  #occupy(used: ClassContainer): Place {
    used.places--;
    if (used.places > 0) this.#open.add(used);
    else this.#open.remove(used);
    return { container: used.container, ready: used.ready, workerId: null };
  }

  /** By those that run or are being started, and by places that are promised. */
  #needed(): { readonly containers: number; readonly gpus: number } {
    let containers = this.containers;
    let gpus = 0;
    for (const { klass } of this.#used.values()) gpus += gpuDemand(klass.options.placement);
    for (const [label, { places, perContainer, gpus: each }] of this.#promised) {
      const starting = this.#starting.get(label)?.size ?? 0;
      const known = this.#open.count(label) + starting * perContainer;
      const more = Math.ceil(Math.max(0, places - known) / perContainer);
      containers += more;
      gpus += (starting + more) * each;
    }
    return { containers, gpus };
  }

  /** It is dead, or its owner kills it. */
  #forget(container: Container): void {
    const used = this.#used.get(container);
    this.#used.delete(container);
    if (used === undefined) return;
    this.#open.remove(used);
    this.#settling.add(container);
    void container.killed().then(() => this.#settling.delete(container));
    this.fillSoon();
  }
}
