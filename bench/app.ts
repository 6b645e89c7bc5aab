import { App, currentContext, enter, method } from 'holdfast';
import { coldKinds, coldName } from './product/cold-sandboxes.js';

/** What the benchmarks call. */
export const app = new App('bench', { entry: import.meta.url });

const overlapping = { concurrentRequests: 1_000, maxPendingTasks: 10_000 };

/** Its calls overlap, as those of every peer do: the path itself. A container of its own for each instance. */
@app.cls(overlapping)
export class Echo {
  #executed = 0;

  @method()
  async echo(value: string | Uint8Array): Promise<string | Uint8Array> {
    this.#executed += 1;
    return value;
  }

  @method()
  async *count(items: number): AsyncGenerator<number> {
    for (let item = 0; item < items; item += 1) yield item;
  }

  @method()
  executed(): number {
    return this.#executed;
  }
}

/** One call at a time, which is the default. */
@app.cls({ maxPendingTasks: 10_000 })
export class Serial extends Echo {}

/** As `Echo`, but many instances share a container. */
@app.cls({ ...overlapping, tasksPerContainer: 1_000 })
export class Shared extends Echo {}

/** A container of its own for each instance, which is the default. */
@app.cls()
export class Plain extends Echo {}

/** As many as a run makes share one container: none is started meanwhile. */
@app.cls({ tasksPerContainer: 100_000 })
export class Packed extends Echo {}

/** All that a benchmark makes in one container. */
@app.cls({ tasksPerContainer: 1_000_000, memoryMb: 8_192 })
export class Dense extends Echo {}

/** From the pool of warm sandboxes, on a worker that has one. */
export const shell = app.sandbox({ name: 'shell' });

/** Disks of another size than those of the pool: each is started when it is asked for. */
for (let kind = 0; kind < coldKinds; kind += 1) app.sandbox({ name: coldName(kind), diskGb: 4 });

/** Holds calls back, so that those beyond its limits can be counted. */
@app.cls({ concurrentRequests: 3, maxPendingTasks: 5, tasksPerContainer: 1_000 })
export class Gate {
  #running = 0;
  #mostRunning = 0;
  #ran = 0;
  #isOpen = false;
  #held: (() => void)[] = [];

  @method()
  async pass(): Promise<void> {
    this.#running += 1;
    this.#mostRunning = Math.max(this.#mostRunning, this.#running);
    if (!this.#isOpen) await new Promise<void>((resolve) => this.#held.push(resolve));
    this.#running -= 1;
    this.#ran += 1;
  }

  @method({ concurrent: true })
  open(): void {
    this.#isOpen = true;
    for (const release of this.#held.splice(0)) release();
  }

  @method({ concurrent: true })
  counts(): { readonly mostRunning: number; readonly ran: number } {
    return { mostRunning: this.#mostRunning, ran: this.#ran };
  }
}

/** Keeps what it is told before it answers. */
@app.cls(overlapping)
export class Durable extends Echo {
  @method()
  override async echo(value: string | Uint8Array): Promise<string | Uint8Array> {
    await currentContext().storage.put('value', value);
    return super.echo(value);
  }
}

/** Its calls are spawned: more are recorded in a second than run in it. */
@app.cls({ ...overlapping, maxPendingTasks: 1_000_000 })
export class Spawned extends Echo {}

/** The same, one call at a time. */
@app.cls({ maxPendingTasks: 1_000_000 })
export class SpawnedSerial extends Echo {}

/** Keeps what it is told, one call at a time. */
@app.cls({ maxPendingTasks: 10_000 })
export class DurableSerial extends Durable {}

/** Reads what it keeps. */
@app.cls(overlapping)
export class Reading extends Echo {
  @enter()
  protected async begin(): Promise<void> {
    await currentContext().storage.put('value', 'x'.repeat(100));
  }

  @method()
  override async echo(value: string | Uint8Array): Promise<string | Uint8Array> {
    await currentContext().storage.get('value');
    return super.echo(value);
  }
}

/** As `Echo`, a function in one container. */
export const echoed = app.function(async (value: string | Uint8Array) => value, overlapping);

/** The same in as many containers as there is work for: a pool, on the machine's one worker. */
export const pooled = app.function(async (value: string | Uint8Array) => value, {
  concurrentRequests: 32,
  maxContainers: 4,
  maxPendingTasks: 10_000,
});

/** What `map` is measured with. */
export const same = app.function(async (item: number) => item, overlapping);
