import { HoldfastError } from '../../common/errors.js';
import type { ClassManifest, ClassOptions, MethodManifest } from '../../common/manifest.js';
import type { OptionalHint } from '../classes/parameters.js';
import { findRegistered, type RegisteredClass, registerNamed } from '../classes/registry.js';
import { type DeclarationSite, nameAt } from './declared-name.js';
import { describeFunction, describeFunctionMethod, functionClass } from './function-class.js';
import type { AnyFunction } from './function-types.js';

/** A function as `app.function` declared it. */
export class RegisteredFunction {
  readonly fn: AnyFunction;
  readonly appName: string;
  readonly options: ClassOptions;
  readonly #site: DeclarationSite;
  #name: string | null;
  #class: RegisteredClass | null = null;
  #shape: MethodManifest | null = null;

  constructor(
    fn: AnyFunction,
    init: {
      readonly appName: string;
      readonly name: string | null;
      readonly options: ClassOptions;
      readonly site: DeclarationSite;
    },
  ) {
    this.fn = fn;
    this.appName = init.appName;
    this.options = init.options;
    this.#name = init.name;
    this.#site = init.site;
  }

  /** Null: its module has not been looked at yet. */
  get knownName(): string | null {
    return this.#name;
  }

  /** @throws InvalidArgument where nobody has named it and its declaration does not tell */
  get name(): string {
    if (this.#name !== null) return this.#name;
    const found = nameAt(this.#site);
    if (found === null) throw nameless(this.appName);
    this.#name = found;
    return found;
  }

  /** The name of its export, where it was given no other. */
  nameBy(exportName: string): void {
    this.#name ??= exportName;
  }

  /** What containers run of it. */
  get registered(): RegisteredClass {
    const { appName, name, options } = this;
    this.#class ??= functionClass(this.fn, { appName, name, options });
    return this.#class;
  }

  /** What can be known of it without its name. */
  get shape(): MethodManifest {
    this.#shape ??= describeFunctionMethod(this.fn);
    return this.#shape;
  }

  describe(hint: OptionalHint): ClassManifest {
    return describeFunction(this.fn, this.registered, hint);
  }
}

const functions = new Map<object, RegisteredFunction>();

/** @param exported what a module exports of it */
export function registerFunction(exported: object, registered: RegisteredFunction): void {
  functions.set(exported, registered);
  if (registered.knownName !== null) registerNamed(registered.registered);
}

/** Functions without a name of their own are called as they are exported; `default` only where there is no other name. */
export function nameFunctions(module: Readonly<Record<string, unknown>>): void {
  const entries = Object.entries(module).sort(([a], [b]) => Number(a === 'default') - Number(b === 'default'));
  for (const [exportName, value] of entries) {
    const registered = typeof value === 'function' ? functions.get(value) : undefined;
    if (registered === undefined || registered.knownName !== null) continue;
    registered.nameBy(exportName);
    refuseTaken(registered);
    registerNamed(registered.registered);
  }
}

/** Those of an app, with what a module exports of them. */
export function functionsOf(appName: string): (readonly [exported: object, RegisteredFunction])[] {
  return [...functions].filter(([, registered]) => registered.appName === appName);
}

function refuseTaken({ appName, name }: RegisteredFunction): void {
  if (findRegistered(appName, name) === null) return;
  throw new HoldfastError(
    'InvalidArgument',
    `app '${appName}' has two classes, functions or sandboxes named '${name}'`,
    {
      details: { function: name },
    },
  );
}

function nameless(appName: string): HoldfastError {
  return new HoldfastError(
    'InvalidArgument',
    `a function of app '${appName}' has no name: export it as \`export const f = app.function(…)\`, give it the option 'name', or take it from App.lookup`,
  );
}
