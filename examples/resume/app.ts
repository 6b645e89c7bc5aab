import { App, method } from 'holdfast';

export const app = new App('resume', { entry: import.meta.url });

@app.cls()
export class Basket {
  readonly #items: string[] = [];

  @method()
  add(item: string): readonly string[] {
    this.#items.push(item);
    return this.#items;
  }
}
