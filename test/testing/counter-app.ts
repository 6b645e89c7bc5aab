import { App, enter, exit, method } from 'holdfast';

export const app = new App('counter', { entry: import.meta.url });

@app.cls()
export class Counter {
  #count: number;
  #entered = 0;

  constructor(start = 0) {
    this.#count = start;
  }

  @enter()
  protected open(): void {
    this.#entered++;
  }

  @method({ idempotent: true })
  add(amount = 1): number {
    this.#count += amount;
    return this.#count;
  }

  @method()
  variable(name: string): string | null {
    return process.env[name] ?? null;
  }

  @method()
  entered(): number {
    return this.#entered;
  }

  /** Heeds nothing. */
  @method()
  async *forever(): AsyncGenerator<string> {
    yield 'begun';
    await new Promise(() => setInterval(() => undefined, 60_000));
  }

  @exit()
  protected leave(): void {
    console.log('left');
  }
}
