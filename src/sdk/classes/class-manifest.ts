import { HoldfastError } from '../../common/errors.js';
import type { ClassManifest, ClassOptions, MethodManifest } from '../../common/manifest.js';
import type { ResolvedMethodOptions } from '../../common/options.js';
import type { Class } from './class-types.js';
import { isGenerator } from './generator-function.js';
import { constructorParameters, methodParameters, type OptionalHint } from './parameters.js';

/** What the decorators know of a class, before its source was read. */
export interface DescribedClass {
  readonly ctor: Class;
  readonly name: string;
  readonly options: ClassOptions;
  readonly methods: ReadonlyMap<string, ResolvedMethodOptions>;
  readonly enterHooks: readonly string[];
  readonly exitHooks: readonly string[];
  readonly alarm: string | null;
}

/** The manifest of a class, without its export's name: that is known when its module is described. */
export function describeClass(described: DescribedClass, hint?: OptionalHint): ClassManifest {
  const { ctor, name, options, enterHooks, exitHooks, alarm } = described;
  const { parameters, signature } = constructorParameters(ctor, hint);
  const methods = Object.fromEntries(
    [...described.methods].map(([method, of]) => [method, describeMethod({ ctor, name: method, hint }, of)]),
  );
  return { kind: 'class', name, exportName: '', options, methods, parameters, signature, enterHooks, exitHooks, alarm };
}

/**
 * A generator is what is declared as one, `function*` or `async function*`, also where its compiler rewrote it. A plain
 * method that returns an iterator is none: its result would have to be known before the call.
 */
export function describeMethod(
  { ctor, name, hint }: { readonly ctor: Class; readonly name: string; readonly hint: OptionalHint | undefined },
  options: ResolvedMethodOptions,
): MethodManifest {
  const fn: unknown = Reflect.get(ctor.prototype as object, name);
  if (typeof fn !== 'function') {
    return { name, generator: false, parameters: [{ name: 'args', optional: true, rest: true }], ...options };
  }
  const { parameters, generator: isDeclared } = methodParameters(fn as (...args: never) => unknown, hint);
  const generator = isDeclared || isGenerator(fn);
  if (generator && options.batch !== undefined) {
    throw new HoldfastError(
      'InvalidArgument',
      `@method ${name} has the option 'batch' and is a generator: it can be one of both`,
      {
        details: { method: name, option: 'batch' },
      },
    );
  }
  return { name, generator, parameters, ...options };
}
