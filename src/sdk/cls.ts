import { HoldfastError } from '../common/errors.js';
import { encodeArgs } from '../wire/codec.js';
import type { InstanceView } from '../wire/gen/holdfast/v1/router.js';
import { withoutTrailingUndefined } from './arguments.js';
import { BoundCls } from './bound-cls.js';
import { checkCloseOptions, checkInstanceId } from './call-options.js';
import { remoteInstance } from './class-instance.js';
import { type ClassOrigin, ClassSource } from './class-source.js';
import type { Args, Class, ClassInstance, LocalClassInstance, Prefix, Rest } from './class-types.js';
import { chooseClient } from './client-choice.js';
import { classOf } from './deployments.js';
import { readHandle } from './handle-input.js';
import type {
  ClassInfo,
  ClassInstanceHandle,
  ClientChoice,
  CloseOptions,
  CloseResult,
  HandleInput,
  InstanceInfo,
  MethodInfo,
  ParameterInfo,
} from './infos.js';
import { closeResult, instanceInfo } from './instance-infos.js';
import type { InstanceTarget } from './instance-target.js';
import { localInstance } from './local/local-instance.js';
import { type RegisteredClass, registeredClass } from './registry.js';

// Only this package makes one.
let construct: (source: ClassSource<RegisteredClass>) => Cls<never>;

/** A class of an app: what it looks like, and its instances. */
export class Cls<C extends Class = Class> {
  readonly #source: ClassSource<RegisteredClass>;

  private constructor(source: ClassSource<RegisteredClass>) {
    this.#source = source;
  }

  /** The handle of a class that this program decorated. @throws InvalidArgument for one without `@app.cls` */
  static of<C extends Class>(ctor: C): Cls<C> {
    const local = typeof ctor === 'function' ? registeredClass(ctor) : null;
    if (local === null) {
      const shown = typeof ctor === 'function' ? `class '${ctor.name}'` : `a value of type ${typeof ctor}`;
      throw new HoldfastError('InvalidArgument', `${shown} is not decorated with @app.cls()`);
    }
    return makeCls({ kind: 'class', appName: local.appName, name: local.name, local, deployment: null, choice: {} });
  }

  /** A class by name, as it is deployed now. @throws NotFound, Unavailable */
  static async fromName<C extends Class = Class>(
    appName: string,
    className: string,
    options: ClientChoice = {},
  ): Promise<Cls<C>> {
    const client = chooseClient(options);
    const deployment = await client.deployments.current(appName);
    classOf(deployment, className);
    return makeCls({ kind: 'class', appName, name: className, local: null, deployment, choice: client });
  }

  /** The instance of a serialized handle, its class looked up by the handle. @throws InstanceGone, PermissionDenied */
  static async fromHandle<C extends Class = Class>(
    handle: HandleInput,
    options: ClientChoice = {},
  ): Promise<ClassInstance<C>> {
    const { app, name } = readHandle(handle);
    const cls = await Cls.fromName<C>(app, name, options);
    return await cls.attach(handle);
  }

  get name(): string {
    return this.#source.origin.name;
  }

  get appName(): string | null {
    return this.#source.origin.appName;
  }

  /** The same as `methodInfos`. */
  get methods(): Readonly<Record<string, MethodInfo>> {
    return this.methodInfos;
  }

  get methodNames(): readonly string[] {
    return Object.keys(this.methodInfos);
  }

  get methodInfos(): Readonly<Record<string, MethodInfo>> {
    return this.#source.manifest.methods;
  }

  get parameters(): readonly ParameterInfo[] {
    return this.#source.manifest.parameters;
  }

  get parameterNames(): readonly string[] {
    return this.parameters.map((parameter) => parameter.name);
  }

  get signature(): string | null {
    return this.#source.manifest.signature;
  }

  get enterHookNames(): readonly string[] {
    return this.#source.manifest.enterHooks;
  }

  get exitHookNames(): readonly string[] {
    return this.#source.manifest.exitHooks;
  }

  get tags(): readonly string[] {
    return this.#source.manifest.options.tags;
  }

  get metadata(): Readonly<Record<string, unknown>> {
    return this.#source.manifest.options.metadata;
  }

  /** True where this program does not have the class itself. */
  get remoteOnly(): boolean {
    return this.#source.origin.local === null;
  }

  get localCls(): C | null {
    return (this.#source.origin.local?.ctor ?? null) as C | null;
  }

  /** The class as it is deployed now. @throws NotFound, Unavailable */
  async inspect(): Promise<ClassInfo> {
    const { deployment, manifest } = await this.#source.refresh();
    let liveInstances = 0;
    for await (const { state } of this.#source.list(Number.POSITIVE_INFINITY)) {
      if (state !== 'closed' && state !== 'lost') liveInstances += 1;
    }
    const { options, methods, parameters, enterHooks, exitHooks } = manifest;
    return {
      appName: deployment.app,
      name: manifest.name,
      deployment: deployment.version,
      options: { ...options },
      methods,
      parameters,
      enterHooks,
      exitHooks,
      liveInstances,
      tags: options.tags,
      metadata: options.metadata,
    };
  }

  hasMethod(name: string): boolean {
    return Object.hasOwn(this.methodInfos, name);
  }

  /** @throws NotFound naming the methods that there are */
  methodInfo(name: string): MethodInfo {
    const info = this.hasMethod(name) ? this.methodInfos[name] : undefined;
    if (info !== undefined) return info;
    const known = this.methodNames.join(', ') || 'none';
    throw new HoldfastError('NotFound', `class '${this.name}' has no method '${name}'; it has: ${known}`, {
      details: { class: this.name, method: name },
    });
  }

  /** The shared instance for these constructor arguments: the same arguments reach the same instance. */
  async bind(...args: Args<C>): Promise<ClassInstance<C>> {
    return await this.#instance(await this.#source.create(null, args), false);
  }

  /** The same as `bind`. */
  remote(...args: Args<C>): Promise<ClassInstance<C>> {
    return this.bind(...args);
  }

  /** The class with its first constructor arguments given. */
  partial<P extends Prefix<Args<C>>>(...args: P): BoundCls<C, Rest<Args<C>, P>> {
    return new BoundCls(this, args);
  }

  /** A fresh instance with an id of its own. */
  async new(...args: Args<C>): Promise<ClassInstance<C>> {
    return await this.#instance(await this.#source.create('', args), true);
  }

  /** The instance of that name, pinned to one worker; made at first use. Without arguments it joins whatever is there; with other arguments than its first: `InstanceConflict`. */
  async named(instanceId: string, ...args: Args<C>): Promise<ClassInstance<C>> {
    checkInstanceId(instanceId);
    return await this.#instance(await this.#source.create(instanceId, args), false);
  }

  /** In this process, with the same hooks, limits and errors: for tests and laptops. @throws InvalidArgument where the class is remote only */
  async local(...args: Args<C>): Promise<LocalClassInstance<C>> {
    const { local } = this.#source.origin;
    if (local === null) {
      throw new HoldfastError(
        'InvalidArgument',
        `class '${this.name}' is not in this program: import it and use Cls.of`,
      );
    }
    return await localInstance<C>(this as unknown as Cls, local, { args: withoutTrailingUndefined(args) });
  }

  /** The instance of a serialized handle. @throws InstanceGone, InstanceLost, PermissionDenied, InvalidArgument */
  async attach(handle: HandleInput): Promise<ClassInstance<C>> {
    const target = await this.#source.client.place({ $case: 'attach', value: { handle: this.#own(handle) } });
    return await this.#instance(target, false);
  }

  /** Closes the instance of a handle. Idempotent. */
  async closeHandle(handle: HandleInput, options: CloseOptions = {}): Promise<CloseResult> {
    checkCloseOptions(options);
    const value = { target: { $case: 'handle', value: this.#own(handle) } as const, force: options.force ?? false };
    const own = { remainingMs: options.timeoutMs ?? 0, signal: options.signal };
    return closeResult(await this.#source.client.close({ $case: 'close', value }, own));
  }

  /** Closes the instance of that name. Idempotent. @throws InstanceConflict for other arguments than its first */
  async closeNamed(instanceId: string, ...args: Args<C> | []): Promise<CloseResult> {
    checkInstanceId(instanceId);
    const given = withoutTrailingUndefined(args);
    const { appName: app, name: className } = this.#source.origin;
    const value = {
      target: { $case: 'instance', value: { app, className, id: instanceId } } as const,
      force: false,
      ...(given.length === 0 ? {} : { args: Buffer.from(encodeArgs(given)) }),
    };
    return closeResult(await this.#source.client.close({ $case: 'close', value }));
  }

  /** Live instances of this class, oldest first. */
  list(options: { readonly limit?: number } = {}): AsyncIterable<InstanceInfo> {
    return infos(this.#source.list(options.limit ?? Number.POSITIVE_INFINITY));
  }

  /** The deployment that it runs on says which methods it has: it may be another than ours. */
  async #instance(target: InstanceTarget, isOwned: boolean): Promise<ClassInstance<C>> {
    const { client } = this.#source;
    const { handle, deployment } = target.placement;
    const manifest = classOf(await client.deployments.version(handle.app, deployment), handle.name);
    return remoteInstance<C>({ cls: this as unknown as Cls, client, target, manifest, isOwned });
  }

  #own(input: HandleInput): ClassInstanceHandle {
    const handle = readHandle(input);
    if (handle.app === this.appName && handle.name === this.name) return handle;
    throw new HoldfastError(
      'InvalidArgument',
      `the handle is of ${handle.app}/${handle.name}, this is ${this.appName}/${this.name}; use Cls.fromHandle`,
    );
  }

  static {
    construct = (source) => new Cls(source);
  }
}

async function* infos(views: AsyncIterable<InstanceView>): AsyncGenerator<InstanceInfo, void, undefined> {
  for await (const view of views) yield instanceInfo(view);
}

/** A class from wherever it is known. */
export function makeCls<C extends Class>(origin: ClassOrigin<RegisteredClass>): Cls<C> {
  return construct(new ClassSource(origin)) as unknown as Cls<C>;
}
