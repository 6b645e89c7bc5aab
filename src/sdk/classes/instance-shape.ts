import { HoldfastError } from '../../common/errors.js';
import type { ClassManifest } from '../../common/manifest.js';
import { type AnyStub, finishStub } from '../calls/stub.js';
import type { CallOptions } from './class-types.js';

/** What both kinds of instances are made from: their controls, and a stub for each method. */
export interface Shaped {
  readonly methodNames: readonly string[];
  /** `app/Class/id`, for messages. */
  readonly label: string;
  makeStub(name: string): AnyStub;
}

type Base = { readonly prototype: Shaped };

const shapes = new WeakMap<Base, WeakMap<ClassManifest, Base>>();

/**
 * Names that libraries look for on any object: a promise must not take an instance for a thenable, nor a test runner or
 * serializer for one of its own.
 */
const probed = new Set(['then', 'catch', 'finally', 'toJSON', 'asymmetricMatch', 'nodeType', 'tagName', 'inspect']);

/**
 * A constructor whose objects have the controls of `base` and a stub per method of the manifest; a control hides a method
 * of its name. Stubs are made at first use and then are plain properties: the proxy behind all prototypes is only ever
 * asked for names that nobody has.
 */
function shapeOf(base: Base, manifest: ClassManifest): Base {
  const known = shapes.get(base)?.get(manifest);
  if (known !== undefined) return known;
  if (!shapes.has(base)) {
    Object.setPrototypeOf(base.prototype, unknownNames);
    shapes.set(base, new WeakMap());
  }
  const prototype = Object.create(base.prototype) as Shaped;
  for (const name of Object.keys(manifest.methods)) {
    if (name in Object.prototype || Object.hasOwn(base.prototype, name) || probed.has(name)) continue;
    Object.defineProperty(prototype, name, {
      configurable: true,
      enumerable: true,
      get(this: Shaped): AnyStub {
        const stub = this.makeStub(name);
        Object.defineProperty(this, name, { value: stub, configurable: true, enumerable: true });
        return stub;
      },
    });
  }
  function Shape(): void {
    // Only its prototype is used, as the target of a construction.
  }
  Shape.prototype = prototype;
  shapes.get(base)?.set(manifest, Shape as unknown as Base);
  return Shape as unknown as Base;
}

/** Makes the object. */
export function construct<T extends Shaped, Init>(
  base: (new (init: Init) => T) & Base,
  init: Init,
  manifest: ClassManifest,
): T {
  return Reflect.construct(base, [init], shapeOf(base, manifest) as unknown as new () => T) as T;
}

/** A stub whose calls say that there is no such method. */
export function refusingStub(instance: Shaped, name: string): AnyStub {
  const refuse = (): Promise<never> => {
    const error = new HoldfastError(
      'InvalidArgument',
      `${instance.label} has no method '${name}' that can be called; it has: ${instance.methodNames.join(', ') || 'none'}. Decorate it with @method() and deploy again`,
      { details: { method: name, methods: [...instance.methodNames] } },
    );
    const refused = Promise.reject(error);
    // It may have been called as a generator.
    const values = (): AsyncIterator<never> => {
      refused.catch(() => undefined);
      return { next: () => Promise.reject(error) };
    };
    return Object.assign(refused, { [Symbol.asyncIterator]: values });
  };
  const stub = finishStub({ name, generator: false }, { call: refuse, spawn: refuse }, (_options: CallOptions) =>
    refusingStub(instance, name),
  );
  return Object.assign(stub, { remoteGen: refuse });
}

const unknownNames = new Proxy(Object.create(Object.prototype) as object, {
  get(target, name, instance: Shaped): unknown {
    if (typeof name === 'symbol' || name in target || probed.has(name) || /^[^\p{L}]/u.test(name)) {
      return Reflect.get(target, name, instance);
    }
    return refusingStub(instance, name);
  },
});
