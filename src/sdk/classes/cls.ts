import { checkOptions } from '../../common/check-options.js';
import { HoldfastError } from '../../common/errors.js';
import { expected } from '../../common/option-checks.js';
import { withoutTrailingUndefined } from '../calls/arguments.js';
import { type CallLimits, during, Limits, limitChecks } from '../calls/call-limits.js';
import { checkInstanceId } from '../calls/call-options.js';
import { closeByHandle, closeByName, notFoundBy } from '../calls/instance-requests.js';
import type { InstanceTarget } from '../calls/instance-target.js';
import { type CallChoice, chosen } from '../client-choice.js';
import { readHandle } from '../handle-input.js';
import type {
  ClassInfo,
  ClassInstanceHandle,
  CloseOptions,
  CloseResult,
  HandleInput,
  InstanceInfo,
  MethodInfo,
  ParameterInfo,
} from '../infos.js';
import { localInstance } from '../local/local-instance.js';
import type { ClientCore } from '../sessions/client-core.js';
import { BoundCls } from './bound-cls.js';
import { remoteInstance } from './class-instance.js';
import { type ClassOrigin, ClassSource } from './class-source.js';
import type { Args, Class, ClassInstance, LocalClassInstance, Prefix, Rest } from './class-types.js';
import { classOf } from './deployments.js';
import { instanceInfos } from './instance-infos.js';
import { type RegisteredClass, registeredClass } from './registry.js';

// Only this package makes one.
let construct: (source: ClassSource<RegisteredClass>) => Cls<never>;

const listChecks = { ...limitChecks, limit: expected.integer(0, Number.MAX_SAFE_INTEGER) } as const;

/** A class of an app: what it looks like, and its instances. */
export class Cls<C extends Class = Class> {
  readonly #source: ClassSource<RegisteredClass>;
  readonly #given: CallLimits;

  private constructor(source: ClassSource<RegisteredClass>, given: CallLimits = {}) {
    this.#source = source;
    this.#given = given;
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
    options: CallChoice = {},
  ): Promise<Cls<C>> {
    return await Cls.#found(appName, className, chosen(`the look-up of ${appName}/${className}`, options));
  }

  /** The instance of a serialized handle, its class looked up by the handle. @throws InstanceGone, PermissionDenied */
  static async fromHandle<C extends Class = Class>(
    handle: HandleInput,
    options: CallChoice = {},
  ): Promise<ClassInstance<C>> {
    const { app, name, id } = readHandle(handle);
    const asked = chosen(`the attach of ${app}/${name}/${id}`, options);
    const cls = await Cls.#found<C>(app, name, asked).catch((e) => notFoundBy(readHandle(handle), e, asked));
    return await cls.#attached(handle, asked.limits);
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
  async inspect(options: CallLimits = {}): Promise<ClassInfo> {
    const limits = this.#limits('inspect', options);
    const { deployment, manifest } = await this.#source.refresh(limits);
    let liveInstances = 0;
    for await (const { state } of this.#source.list(Number.POSITIVE_INFINITY, limits)) {
      if (state !== 'closed' && state !== 'lost') liveInstances += 1;
    }
    const { methods, parameters, enterHooks, exitHooks } = manifest;
    return {
      appName: deployment.app,
      name: manifest.name,
      deployment: deployment.version,
      options: { ...manifest.options },
      methods,
      parameters,
      enterHooks,
      exitHooks,
      liveInstances,
      tags: manifest.options.tags,
      metadata: manifest.options.metadata,
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

  /** The same class, whose `bind`, `remote`, `new`, `named` and `closeNamed` wait no longer than that. @throws InvalidArgument */
  with(options: CallLimits): Cls<C> {
    checkOptions(`with of class '${this.name}'`, options, limitChecks);
    return new Cls(this.#source, { ...this.#given, ...options });
  }

  /** The shared instance for these constructor arguments: the same arguments reach the same instance. */
  async bind(...args: Args<C>): Promise<ClassInstance<C>> {
    return await this.#made(null, args);
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
    return await this.#made('', args);
  }

  /** The instance of that name, pinned to one worker; made at first use. Without arguments it joins whatever is there; with other arguments than its first: `InstanceConflict`. */
  async named(instanceId: string, ...args: Args<C>): Promise<ClassInstance<C>> {
    checkInstanceId(instanceId);
    return await this.#made(instanceId, args);
  }

  /** In this process and on its files, whatever the image, with the same hooks, limits and errors: for tests and laptops. It never sleeps: `idleTimeoutMs` has no effect. @throws InvalidArgument where the class is remote only, VolumeUnavailable where it has volumes, NotFound for a required key of a secret */
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
  async attach(handle: HandleInput, options: CallLimits = {}): Promise<ClassInstance<C>> {
    return await this.#attached(handle, this.#limits('attach', options));
  }

  /** Closes the instance of a handle. Idempotent. */
  async closeHandle(handle: HandleInput, options: CloseOptions = {}): Promise<CloseResult> {
    return await closeByHandle(this.#source.client, this.#own(handle), options);
  }

  /** Closes the instance of that name. Idempotent. @throws InstanceConflict for other arguments than its first */
  async closeNamed(instanceId: string, ...args: Args<C> | []): Promise<CloseResult> {
    checkInstanceId(instanceId);
    const { appName: app, name: className } = this.#source.origin;
    const of = { name: { app, className, id: instanceId }, args: withoutTrailingUndefined(args) };
    return await closeByName(this.#source.client, of, this.#given);
  }

  /** Live instances of this class, oldest first. */
  list(options: { readonly limit?: number } & CallLimits = {}): AsyncIterable<InstanceInfo> {
    checkOptions(`list of class '${this.name}'`, options, listChecks);
    const { limit = Number.POSITIVE_INFINITY, signal, timeoutMs } = options;
    return instanceInfos(() => this.#source.list(limit, this.#limits('list', { signal, timeoutMs })));
  }

  /** @param id as `ClassSource.create` takes it */
  async #made(id: string | null, args: Args<C>): Promise<ClassInstance<C>> {
    const limits = this.#limits(id === null ? 'bind' : id === '' ? 'new' : `named '${id}'`, this.#given);
    const target = await this.#source.create(id, args, { limits });
    const made = this.#instance(target, { isOwned: id === '', limits });
    return await (id === '' ? this.#source.orClosed(target, made) : made);
  }

  async #attached(handle: HandleInput, limits: Limits | undefined): Promise<ClassInstance<C>> {
    const op = { $case: 'attach', value: { handle: this.#own(handle) } } as const;
    return await this.#instance(await this.#source.client.place(op, limits), { isOwned: false, limits });
  }

  #limits(what: string, options: CallLimits): Limits | undefined {
    const where = `${what} of class '${this.name}'`;
    checkOptions(where, options, limitChecks);
    return Limits.of(this.#source.client.clock, where, options);
  }

  /** The deployment that it runs on says which methods it has: it may be another than ours. */
  async #instance(
    target: InstanceTarget,
    { isOwned, limits }: { readonly isOwned: boolean; readonly limits: Limits | undefined },
  ): Promise<ClassInstance<C>> {
    const { client } = this.#source;
    const { handle, deployment } = target.placement;
    const known = await during(limits, client.deployments.version(handle.app, deployment));
    const manifest = classOf(known, handle.name);
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

  static async #found<C extends Class>(
    appName: string,
    name: string,
    { client, limits }: { readonly client: ClientCore; readonly limits: Limits | undefined },
  ): Promise<Cls<C>> {
    const deployment = await client.deployments.current(appName, limits);
    classOf(deployment, name);
    return makeCls({ kind: 'class', appName, name, local: null, deployment, choice: client });
  }

  static {
    construct = (source) => new Cls(source);
  }
}

/** A class from wherever it is known. */
export function makeCls<C extends Class>(origin: ClassOrigin<RegisteredClass>): Cls<C> {
  return construct(new ClassSource(origin)) as unknown as Cls<C>;
}
