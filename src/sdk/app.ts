import { HoldfastError } from '../common/errors.js';
import { type FunctionOptions, resolveFunctionOptions } from '../common/function-options.js';
import { expected } from '../common/option-checks.js';
import { type ClsOptions, checkAppOptions, resolveClassOptions } from '../common/options.js';
import { resolveSandboxOptions, type SandboxOptions } from '../common/sandbox-options.js';
import type { Class, RemoteApp } from './classes/class-types.js';
import { registerApp, registerClass, registerSandbox } from './classes/registry.js';
import { remoteApp } from './classes/remote-app.js';
import { type CallChoice, chosen } from './client-choice.js';
import { deployApp } from './deploy/deploy-app.js';
import { declarationSite } from './functions/declared-name.js';
import type { AnyFunction, RemoteFunction } from './functions/function-types.js';
import { RegisteredFunction, registerFunction } from './functions/registered-functions.js';
import { declaredFunction } from './functions/remote-function.js';
import type { Deployment, DeployOptions } from './infos.js';
import { makeSandbox, type Sandbox } from './sandbox/sandbox.js';
import { sandboxManifest } from './sandbox/sandbox-manifest.js';

/** Options of an app. */
export interface AppOptions {
  /** Module that declares the app, `import.meta.url`. Needed only by `app.deploy()`; the CLI knows it. */
  readonly entry?: string | URL;
  readonly tags?: Iterable<string>;
  readonly metadata?: Readonly<Record<string, unknown>>;
}

/** A named set of classes, functions and sandboxes that are deployed together. */
export class App {
  readonly name: string;
  readonly #entry: string | URL | null;
  readonly #names = new Set<string>();

  /** @throws InvalidArgument */
  constructor(name: string, options: AppOptions = {}) {
    const wanted = expected.appName(name);
    if (wanted !== null) {
      throw new HoldfastError('InvalidArgument', `the name of an app must be ${wanted}, got ${JSON.stringify(name)}`);
    }
    const tags = options.tags === undefined || typeof options.tags === 'string' ? options.tags : [...options.tags];
    checkAppOptions(`app '${name}'`, tags === undefined ? options : { ...options, tags });
    this.name = name;
    this.#entry = options.entry ?? null;
    registerApp({ name, tags: [...(tags ?? [])], metadata: options.metadata ?? {} });
  }

  /**
   * Class decorator (TC39): `@app.cls({ cpu: 2 }) class Model { … }`.
   *
   * @throws InvalidArgument naming the class and the option
   */
  cls(options: ClsOptions = {}): (ctor: Class, context: ClassDecoratorContext) => void {
    return (ctor, context) => {
      const shown = ctor?.name || 'without a name';
      if (typeof context !== 'object' || context === null || context.kind !== 'class') {
        throw new HoldfastError(
          'InvalidArgument',
          `@app.cls on class '${shown}' needs standard decorators; remove "experimentalDecorators" from tsconfig.json`,
        );
      }
      const resolved = resolveClassOptions(`class '${shown}'`, options);
      const name = options.name ?? context.name;
      const wanted = expected.className(name);
      if (name === undefined || wanted !== null) {
        throw new HoldfastError('InvalidArgument', `class '${shown}' needs the option 'name': ${wanted}`);
      }
      if (context.metadata === undefined) {
        throw new HoldfastError('InvalidArgument', `class '${shown}' has no decorator metadata; import holdfast first`);
      }
      this.#take(name);
      registerClass(this.name, ctor, { name, options: resolved, metadata: context.metadata });
    };
  }

  /**
   * Declares a function, under the name of its export where none is given:
   * `export const thumbnail = app.function(async (url: string) => …, { cpu: 2 })`.
   *
   * @throws InvalidArgument naming the option
   */
  function<F extends AnyFunction>(fn: F, options: FunctionOptions = {}): RemoteFunction<F> {
    if (typeof fn !== 'function') {
      throw new HoldfastError(
        'InvalidArgument',
        `app.function of app '${this.name}' needs a function, got ${typeof fn}`,
      );
    }
    const name = options?.name ?? null;
    const where = name === null ? `a function of app '${this.name}'` : `function ${JSON.stringify(name)}`;
    const resolved = resolveFunctionOptions(where, options);
    if (name !== null) this.#take(name);
    const site = declarationSite(App.prototype.function);
    const registered = new RegisteredFunction(fn, { appName: this.name, name, options: resolved, site });
    const declared = declaredFunction<F>(registered);
    registerFunction(declared, registered);
    return declared;
  }

  /**
   * Declares a sandbox, under the name `default` where none is given: `export const shell = app.sandbox({ name: 'shell' })`.
   *
   * @throws InvalidArgument naming the option
   */
  sandbox(options: SandboxOptions = {}): Sandbox {
    const name = options.name ?? 'default';
    const where = `sandbox ${JSON.stringify(name)}`;
    const manifest = sandboxManifest(name, resolveSandboxOptions(where, options));
    this.#take(name);
    const sandbox = makeSandbox({ appName: this.name, name, local: { manifest }, deployment: null, choice: {} });
    registerSandbox({ sandbox, appName: this.name, name, manifest });
    return sandbox;
  }

  /**
   * Bundles the entry module, stores it by content hash, publishes the app's manifest; instances that run keep their
   * deployment. Inside a container it does nothing and returns the deployment that runs.
   *
   * @throws InvalidArgument, Unavailable naming the endpoint, PermissionDenied
   */
  deploy(options: DeployOptions = {}): Promise<Deployment> {
    return deployApp(this.name, this.#entry, options);
  }

  /**
   * `App.lookup<typeof import('./app.js')>('stateful-demo')` is fully typed, with no code generation.
   *
   * @throws NotFound, Unavailable
   */
  static async lookup<M = Record<string, unknown>>(name: string, options: CallChoice = {}): Promise<RemoteApp<M>> {
    const { client, limits } = chosen(`the look-up of app '${name}'`, options);
    return remoteApp<M>(client, await client.deployments.current(name, limits));
  }

  /** All share the ids of their instances' keys, so they share their names too. */
  #take(name: string): void {
    if (this.#names.has(name)) {
      throw new HoldfastError(
        'InvalidArgument',
        `app '${this.name}' has two classes, functions or sandboxes named '${name}'`,
        {
          details: { class: name },
        },
      );
    }
    this.#names.add(name);
  }
}
