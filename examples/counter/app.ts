import { App, currentContext, enter, method } from 'holdfast';

export const app = new App('counter', { entry: import.meta.url });

@app.cls()
export class Counter {
  #count = 0;

  @enter()
  protected async load(): Promise<void> {
    this.#count = (await currentContext().storage.get<number>('count')) ?? 0;
  }

  /** Answers when the new count is stored, not before: no `await` is needed for that. */
  @method()
  add(amount: number): number {
    this.#count += amount;
    void currentContext().storage.put('count', this.#count);
    return this.#count;
  }

  /** As if its worker had been struck by lightning. */
  @method()
  crash(): void {
    process.kill(process.pid, 'SIGKILL');
  }
}
