import { setFlagsFromString } from 'node:v8';

/** A quarter of what V8 counts of a function's bytecode by default before it looks whether to optimize it. */
const interruptBudget = 16_384;
/** By how much the heap may grow from one full collection to the next, of what was alive after it. */
const heapGrowingPercent = 200;

/**
 * For processes that run our code alone; takes effect from here on.
 *
 * What makes an instance is much code, each line of which runs once a name: by V8's own count it is not optimized before some ten
 * thousand of them (ADR 77). And a heap that V8 takes for settled is collected whole several times a second for what was read from
 * sockets, though that is garbage before the next young collection (ADR 102).
 */
export function tuneV8(): void {
  setFlagsFromString(`--interrupt-budget=${interruptBudget}`);
  setFlagsFromString(`--heap-growing-percent=${heapGrowingPercent}`);
}
