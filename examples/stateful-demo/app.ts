import { App, enter, exit, method } from 'holdfast';

export const app = new App('stateful-demo', { entry: import.meta.url });

@app.cls({ cpu: 2, memoryMb: 2048, timeoutMs: 120_000 })
export class Model {
  readonly #prefix: string;

  constructor(prefix = 'hi: ') {
    this.#prefix = prefix;
  }

  /** Once per instance, before its first call: the place to load weights or open connections. */
  @enter()
  protected load(): void {
    console.log('loaded');
  }

  @method()
  infer(prompt: string): string {
    return this.#prefix + prompt;
  }

  /** Once, when the instance is closed. */
  @exit()
  protected shutdown(): void {
    console.log('shut down');
  }
}
