import type { ClassManifest, ClassOptions, MethodManifest } from '../../common/manifest.js';
import { describeClass, describeMethod } from '../classes/class-manifest.js';
import type { Class } from '../classes/class-types.js';
import { methodParameters, type OptionalHint } from '../classes/parameters.js';
import type { RegisteredClass } from '../classes/registry.js';
import type { AnyFunction } from './function-types.js';

/** The one method of a function's class. */
export const functionMethod = 'call';

const methodOptions = { tags: [], metadata: {}, idempotent: false, concurrent: false };
const methods = new Map([[functionMethod, methodOptions]]);
/** Its instances are those of one deployment each: a function that was deployed anew does not go on as it was. */
const parameters = [{ name: 'deployment', optional: true, rest: false }];

/** The class that a function is to containers. */
export function functionClass(
  fn: AnyFunction,
  init: { readonly appName: string; readonly name: string; readonly options: ClassOptions },
): RegisteredClass {
  const described = { ...init, ctor: hostOf(fn), methods, enterHooks: [], exitHooks: [], alarm: null };
  let manifest: ClassManifest | null = null;
  return {
    ...described,
    get manifest(): ClassManifest {
      manifest ??= describeFunction(fn, described);
      return manifest;
    },
  };
}

/** The manifest of a function, without its export's name. */
export function describeFunction(
  fn: AnyFunction,
  registered: Omit<RegisteredClass, 'manifest'>,
  hint?: OptionalHint,
): ClassManifest {
  const { signature } = methodParameters(fn, hint);
  return { ...describeClass(registered, hint), kind: 'function', parameters, signature };
}

/** Its one method, for who does not know its name yet. */
export function describeFunctionMethod(fn: AnyFunction): MethodManifest {
  return describeMethod({ ctor: hostOf(fn), name: functionMethod, hint: undefined }, methodOptions);
}

function hostOf(fn: AnyFunction): Class {
  class FunctionHost {}
  Object.defineProperty(FunctionHost.prototype, functionMethod, { value: fn });
  return FunctionHost;
}
