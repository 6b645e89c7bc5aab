/**
 * TC39 decorator metadata. Node 20 has no `Symbol.metadata`; compilers fall back to the registered symbol of the same
 * name, so that is what it becomes here, before any class of the user's is defined. This module is the first import of
 * the package.
 */
if (Symbol.metadata === undefined) {
  Object.defineProperty(Symbol, 'metadata', { value: Symbol.for('Symbol.metadata') });
}

import type { ResolvedMethodOptions } from '../../common/options.js';

/** What the decorators of one class body said; its base classes have their own. */
export interface Decorations {
  readonly methods: Map<string, ResolvedMethodOptions>;
  /** In the order of declaration. */
  readonly enterHooks: string[];
  readonly exitHooks: string[];
  alarm: string | null;
}

/** Registered, so that a second copy of the package in one process reads the same decorations. */
const key = Symbol.for('holdfast.decorations');

/** The decorations of the class body that is being evaluated. */
export function decorationsOf(metadata: DecoratorMetadataObject): Decorations {
  const known = Object.hasOwn(metadata, key) ? (metadata[key] as Decorations) : null;
  if (known !== null) return known;
  const fresh: Decorations = { methods: new Map(), enterHooks: [], exitHooks: [], alarm: null };
  Object.defineProperty(metadata, key, { value: fresh });
  return fresh;
}

/** The decorations of a class and its base classes, base first: metadata objects inherit like their classes. */
export function inheritedDecorations(metadata: DecoratorMetadataObject): Decorations[] {
  const found: Decorations[] = [];
  for (let level: object | null = metadata; level !== null; level = Object.getPrototypeOf(level)) {
    if (Object.hasOwn(level, key)) found.unshift(Reflect.get(level, key) as Decorations);
  }
  return found;
}
