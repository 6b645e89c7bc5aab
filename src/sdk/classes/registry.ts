import { HoldfastError } from '../../common/errors.js';
import type { ClassManifest, ClassOptions } from '../../common/manifest.js';
import type { ResolvedMethodOptions } from '../../common/options.js';
import { describeClass } from './class-manifest.js';
import type { Class } from './class-types.js';
import { inheritedDecorations } from './metadata.js';

/** A class as its decorators described it. */
export interface RegisteredClass {
  readonly ctor: Class;
  readonly appName: string;
  readonly name: string;
  readonly options: ClassOptions;
  readonly methods: ReadonlyMap<string, ResolvedMethodOptions>;
  /** Base class first. */
  readonly enterHooks: readonly string[];
  /** Derived class first. */
  readonly exitHooks: readonly string[];
  readonly alarm: string | null;
  /** Made when first asked for: it parses the source of the class. */
  readonly manifest: ClassManifest;
}

/** A sandbox as `app.sandbox` described it. */
export interface RegisteredSandbox {
  /** What a module exports. */
  readonly sandbox: object;
  readonly appName: string;
  readonly name: string;
  readonly manifest: ClassManifest;
}

export interface RegisteredApp {
  readonly name: string;
  readonly tags: readonly string[];
  readonly metadata: Readonly<Record<string, unknown>>;
}

const apps = new Map<string, RegisteredApp>();
const byName = new Map<string, RegisteredClass>();
const functions = new Map<string, RegisteredClass>();
const sandboxes = new Map<string, RegisteredSandbox>();
const byConstructor = new WeakMap<object, RegisteredClass>();

export function registerApp(app: RegisteredApp): void {
  apps.set(app.name, app);
}

/** Reads what the decorators of the class and its base classes said. @throws InvalidArgument for a name that is taken */
export function registerClass(
  app: string,
  ctor: Class,
  init: { readonly name: string; readonly options: ClassOptions; readonly metadata: DecoratorMetadataObject },
): void {
  const { name, options, metadata } = init;
  const other = byConstructor.get(ctor);
  if (other !== undefined) {
    throw new HoldfastError(
      'InvalidArgument',
      `class '${name}' is decorated with @app.cls twice: it is '${other.name}' of app '${other.appName}' already`,
      { details: { class: name } },
    );
  }
  const bodies = inheritedDecorations(metadata);
  const hooks = mergeHooks(bodies);
  const methods = new Map<string, ResolvedMethodOptions>();
  for (const body of bodies) for (const [method, of] of body.methods) methods.set(method, of);
  const alarm = bodies.findLast((body) => body.alarm !== null)?.alarm ?? null;
  refuseBoth(name, methods, [...hooks.enterHooks, ...hooks.exitHooks, ...(alarm === null ? [] : [alarm])]);
  const described = { ctor, appName: app, name, options, methods, ...hooks, alarm };
  let manifest: ClassManifest | null = null;
  const registered: RegisteredClass = {
    ...described,
    get manifest(): ClassManifest {
      manifest ??= describeClass(described);
      return manifest;
    },
  };
  byName.set(`${app}/${name}`, registered);
  byConstructor.set(ctor, registered);
}

/** A class that `app.function` has made; its name is free in its app. */
export function registerNamed(registered: RegisteredClass): void {
  functions.set(`${registered.appName}/${registered.name}`, registered);
}

/** Its name is free in its app. */
export function registerSandbox(registered: RegisteredSandbox): void {
  sandboxes.set(`${registered.appName}/${registered.name}`, registered);
}

/** By its constructor; null for a class that is not decorated. */
export function registeredClass(ctor: object): RegisteredClass | null {
  return byConstructor.get(ctor) ?? null;
}

/** A class or function by app and name; null where this program has none. */
export function findRegistered(app: string, name: string): RegisteredClass | null {
  const key = `${app}/${name}`;
  return byName.get(key) ?? functions.get(key) ?? null;
}

/** An app that this program has made, with what it has. */
export interface DeclaredApp extends RegisteredApp {
  readonly classes: readonly RegisteredClass[];
  readonly sandboxes: readonly RegisteredSandbox[];
}

/** Every app that this program has made. */
export function registeredApps(): DeclaredApp[] {
  const of = <R extends { readonly appName: string }>(all: Iterable<R>, app: RegisteredApp): R[] =>
    [...all].filter(({ appName }) => appName === app.name);
  return [...apps.values()].map((app) => ({
    ...app,
    classes: of(byName.values(), app),
    sandboxes: of(sandboxes.values(), app),
  }));
}

/** A hook that a derived class overrides is one hook: it keeps the place where it was declared first. */
function mergeHooks(
  bodies: readonly { readonly enterHooks: readonly string[]; readonly exitHooks: readonly string[] }[],
): { readonly enterHooks: readonly string[]; readonly exitHooks: readonly string[] } {
  return {
    enterHooks: [...new Set(bodies.flatMap((body) => body.enterHooks))],
    exitHooks: [...new Set(bodies.toReversed().flatMap((body) => body.exitHooks))],
  };
}

function refuseBoth(className: string, methods: ReadonlyMap<string, unknown>, hooks: readonly string[]): void {
  const both = hooks.find((hook) => methods.has(hook));
  if (both === undefined) return;
  throw new HoldfastError(
    'InvalidArgument',
    `class '${className}': '${both}' is a hook in one class and callable in another of its base classes`,
    { details: { class: className, method: both } },
  );
}
