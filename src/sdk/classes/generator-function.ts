import { types } from 'node:util';

/** Whether a function is declared as a generator, also where its compiler has lowered that. */
export function isGenerator(fn: object): boolean {
  return types.isGeneratorFunction(fn) || isLoweredGenerator(fn);
}

/** esbuild lowers `async function*` to `return __asyncGenerator(this, …)`, TypeScript to `__asyncGenerator` and `__generator`. */
function isLoweredGenerator(fn: object): boolean {
  return /\breturn __(?:asyncGenerator|generator)\(this\b/.test(Function.prototype.toString.call(fn));
}
