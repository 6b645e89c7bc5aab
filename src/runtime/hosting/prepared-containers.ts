import type { Clock } from '../../common/clock.js';
import type { ContainerFiles } from '../../common/ports/container.js';
import type { Container } from './container.js';
import type { LoadedClass } from './loaded-class.js';
import { filesOfClass } from './own-container.js';
import { RecentDemand } from './recent-demand.js';

/** A class that containers were asked for lately, and those that have it loaded and no instance. */
interface Prepared {
  readonly klass: LoadedClass;
  /** What they start with; null: warm ones will do. */
  readonly files: ContainerFiles | null;
  readonly demand: RecentDemand;
  readonly ready: Container[];
}

/**
 * Containers that have loaded a class which new containers were asked for lately: the next instance of it waits neither for Node
 * nor for its module, nor for a sandbox of its image (ADR 18, ADR 41).
 *
 * I1. One that has loaded a bundle serves that class at that deployment, or nobody.
 * I2. None is prepared for a class with secrets, which its container gets as they are when the instance comes, nor for one with
 *     volumes: mounts are of one instance.
 */
export class PreparedContainers {
  readonly #clock: Clock;
  readonly #load: (container: Container, klass: LoadedClass) => Promise<void>;
  /** By label; those that nobody asks for are forgotten by `trim`. */
  readonly #classes = new Map<string, Prepared>();
  readonly #loading = new Map<Container, Prepared>();

  /** @param load of a bundle, within the time that its class gives it */
  constructor(clock: Clock, load: (container: Container, klass: LoadedClass) => Promise<void>) {
    this.#clock = clock;
    this.#load = load;
  }

  /** Ready or on their way to it. */
  get count(): number {
    let count = this.#loading.size;
    for (const { ready } of this.#classes.values()) count += ready.length;
    return count;
  }

  /** By class: how many are ready. The news of a death can be late: one that hung up is none. */
  *ready(): Iterable<{ readonly klass: LoadedClass; readonly count: number }> {
    for (const { klass } of this.#classes.values()) {
      const count = this.readyOf(klass.label);
      if (count > 0) yield { klass, count };
    }
  }

  readyOf(label: string): number {
    let count = 0;
    for (const container of this.#classes.get(label)?.ready ?? []) if (container.isUsable) count += 1;
    return count;
  }

  /** A container was needed for the class, and could load it. */
  asked(klass: LoadedClass): void {
    if (!canBePrepared(klass)) return;
    const known = this.#classes.get(klass.label) ?? {
      ...{ klass, files: filesOfClass(klass), demand: new RecentDemand(this.#clock), ready: [] },
    };
    this.#classes.set(klass.label, known);
    known.demand.add();
  }

  /** Null: none is ready. The news of a death can be late: one that hung up is none. */
  take({ label }: LoadedClass): Container | null {
    const ready = this.#classes.get(label)?.ready ?? [];
    for (let container = ready.shift(); container !== undefined; container = ready.shift()) {
      if (container.isUsable) return container;
      container.kill();
    }
    return null;
  }

  /** The class that lacks them most, and what they start with; null: there are as many as were asked for lately, of each. */
  mostWanted(): { readonly klass: LoadedClass; readonly files: ContainerFiles | null } | null {
    let most: Prepared | null = null;
    let mostLacking = 0;
    for (const prepared of this.#classes.values()) {
      const lacking = prepared.demand.count - this.#countOf(prepared);
      if (lacking <= mostLacking) continue;
      most = prepared;
      mostLacking = lacking;
    }
    return most;
  }

  /** Loads the class into a container that has none, in the background. */
  prepare({ label }: LoadedClass, container: Container): void {
    const prepared = this.#classes.get(label);
    if (prepared === undefined) return container.kill();
    this.#loading.set(container, prepared);
    this.#load(container, prepared.klass).then(
      () => {
        // It may have died, or not be wanted any more.
        if (this.#loading.delete(container)) prepared.ready.push(container);
      },
      () => {
        this.#drop(prepared);
        container.kill();
      },
    );
  }

  /** Kills what nobody has asked for lately, and what is more than `most` of all classes. */
  trim(most: number): void {
    for (const prepared of [...this.#classes.values()]) {
      const wanted = prepared.demand.count;
      for (const container of prepared.ready.splice(wanted)) container.kill();
      if (wanted === 0) this.#drop(prepared);
    }
    for (let surplus = this.count - most; surplus > 0; surplus -= 1) this.#killOne();
  }

  /** None can be started for it: not tried again before it is asked for. */
  giveUp({ label }: LoadedClass): void {
    const prepared = this.#classes.get(label);
    if (prepared !== undefined) this.#drop(prepared);
  }

  /** It is dead, by itself where it is still here: what dies or cannot be loaded is not tried again before the class is asked for. */
  forget(container: Container): void {
    for (const prepared of [...this.#classes.values()]) {
      if (this.#loading.get(container) === prepared || prepared.ready.includes(container)) this.#drop(prepared);
    }
  }

  /** Resolves when none is left. */
  async close(): Promise<void> {
    const all = [...this.#loading.keys(), ...[...this.#classes.values()].flatMap(({ ready }) => ready)];
    this.#loading.clear();
    this.#classes.clear();
    await Promise.all(all.map((container) => container.killed()));
  }

  #countOf(prepared: Prepared): number {
    let count = prepared.ready.length;
    for (const of of this.#loading.values()) if (of === prepared) count += 1;
    return count;
  }

  #drop(prepared: Prepared): void {
    const { label } = prepared.klass;
    if (this.#classes.get(label) === prepared) this.#classes.delete(label);
    for (const container of prepared.ready.splice(0)) container.kill();
    for (const [container, of] of [...this.#loading]) {
      if (of !== prepared) continue;
      this.#loading.delete(container);
      container.kill();
    }
  }

  /** Of the class that has most of them. */
  #killOne(): void {
    const [most] = [...this.#classes.values()].sort((a, b) => b.ready.length - a.ready.length);
    most?.ready.pop()?.kill();
  }
}

/** @see PreparedContainers I2 */
export function canBePrepared({ options: { secrets, volumes = [] } }: Pick<LoadedClass, 'options'>): boolean {
  return secrets.length + volumes.length === 0;
}
