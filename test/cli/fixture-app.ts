import { App, currentContext, enter, exit, method } from 'holdfast';

export const app = new App('shop');
export const shell = app.sandbox({ name: 'shell' });

@app.cls()
export class Counter {
  #count = 0;

  @enter()
  protected start(): void {
    console.log('counter starts');
  }

  @method()
  add(by = 1): number {
    this.#count += by;
    return this.#count;
  }

  @method()
  async *upTo(limit: number): AsyncGenerator<{ step: number }> {
    for (let step = 1; step <= limit; step++) yield { step };
  }

  @method()
  say(text: string): void {
    currentContext().log.info(text, { length: text.length });
  }

  @method()
  fail(text: string): never {
    throw new RangeError(text, { cause: new TypeError('the deeper reason') });
  }

  @method()
  odd(): unknown {
    return { map: new Map([['a', 1n]]), at: new Date(0), nothing: undefined };
  }

  @method()
  async wait(ms: number): Promise<string> {
    const { signal } = currentContext();
    console.log('counter waits');
    await new Promise((resolve) => {
      setTimeout(resolve, ms);
      signal.addEventListener('abort', resolve);
    });
    return 'waited';
  }

  @exit()
  protected bye(reason: string): void {
    console.log(`counter ends: ${reason}`);
  }
}

@app.cls()
export class Greeter {
  readonly #greeting: string;

  constructor(greeting: string) {
    this.#greeting = greeting;
  }

  @method()
  greet(name: string): string {
    return `${this.#greeting}, ${name}!`;
  }
}
