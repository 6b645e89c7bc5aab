import { App, enter, exit, method } from 'holdfast';

export const app = new App('demo', { entry: import.meta.url });

// Sessions of it have files and processes of their own, and no network.
export const shell = app.sandbox({ name: 'shell' });

// One call at a time; two more may wait, and the next is refused.
@app.cls({ maxPendingTasks: 2 })
export class Notebook {
  readonly #owner: string;
  readonly #notes: string[] = [];

  constructor(owner: string) {
    this.#owner = owner;
  }

  @enter()
  protected open(): void {
    this.#notes.push(`notebook of ${this.#owner}`);
  }

  @method()
  write(note: string): number {
    return this.#notes.push(note);
  }

  @method()
  *read(): Generator<string> {
    yield* this.#notes;
  }

  @method()
  async think(ms: number): Promise<string> {
    await new Promise((resolve) => setTimeout(resolve, ms));
    return `${this.#owner} has thought`;
  }

  @exit()
  protected save(): void {
    console.log(`${this.#notes.length} notes of ${this.#owner} saved`);
  }
}
