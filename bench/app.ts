import { App, method } from 'holdfast';

/** What the benchmarks call. */
export const app = new App('bench', { entry: import.meta.url });

/** Its calls overlap, as those of every peer do: the path itself. */
@app.cls({ concurrentRequests: 1_000, maxPendingTasks: 10_000 })
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

/** One call at a time, which is the default: the worker sends the next when it has the answer to the last. */
@app.cls({ maxPendingTasks: 10_000 })
export class Serial extends Echo {}

/** A container of its own for each instance, which is the default. */
@app.cls()
export class Plain extends Echo {}

@app.cls({ tasksPerContainer: 1_000 })
export class Packed extends Echo {}
