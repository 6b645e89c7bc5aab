import { App, method } from '../../src/sdk/index.js';

const app = new App('scripted');

/** Only described here: its calls are answered by the tests. */
@app.cls()
export class Model {
  readonly prefix: string;

  constructor(prefix = '', _scale = 1) {
    this.prefix = prefix;
  }

  @method()
  infer(_value: unknown): unknown {
    throw new Error('it runs nowhere');
  }

  @method({ idempotent: true })
  read(_value?: unknown): unknown {
    throw new Error('it runs nowhere');
  }

  // biome-ignore lint/correctness/useYield: it runs nowhere
  @method()
  async *tokens(_count: number): AsyncGenerator<unknown> {
    throw new Error('it runs nowhere');
  }

  @method()
  close(_really: boolean): unknown {
    throw new Error('it runs nowhere');
  }
}

@app.cls({ retries: { maxRetries: 2, initialDelayMs: 1 } })
export class Retried {
  @method()
  infer(_value: unknown): unknown {
    throw new Error('it runs nowhere');
  }
}
