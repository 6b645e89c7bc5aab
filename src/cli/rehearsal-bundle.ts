/** What a container loads at its rehearsal: a bundle as any other, which takes the SDK from its container. */
import type * as Sdk from '../sdk/index.js';

const { App, method } = (globalThis as unknown as { readonly [name: symbol]: typeof Sdk })[
  Symbol.for('holdfast.container')
] as typeof Sdk;

const app = new App('rehearsal');

@app.cls({ tasksPerContainer: 2 })
export class Rehearsed {
  @method()
  async echo(value: unknown): Promise<unknown> {
    return value;
  }
}

/** A second one: V8 compiles a regular expression when it is used again. */
@app.cls()
export class RehearsedToo extends Rehearsed {}
