import { inspect } from 'node:util';
import type { ClassManifest } from '../../common/manifest.js';
import type { CallLimits } from '../calls/call-limits.js';
import { closeInstance, explainInstance, inspectInstance } from '../calls/instance-requests.js';
import type { InstanceTarget } from '../calls/instance-target.js';
import { methodPlans } from '../calls/method-plan.js';
import { type AnyStub, makeStub } from '../calls/stub.js';
import type { ClassInstanceHandle, CloseOptions, CloseResult, Explanation, InstanceInfo } from '../infos.js';
import type { ClientCore } from '../sessions/client-core.js';
import type { Class, ClassInstance, InstanceControls, RemoteMethod } from './class-types.js';
import type { Cls } from './cls.js';
import { instanceInfo } from './instance-infos.js';
import { construct, refusingStub, type Shaped } from './instance-shape.js';

export interface RemoteInstanceInit {
  readonly cls: Cls;
  readonly client: ClientCore;
  readonly target: InstanceTarget;
  /** Of the deployment that it runs on. */
  readonly manifest: ClassManifest;
  /** Made by this program alone: disposing closes it. */
  readonly isOwned: boolean;
}

export function remoteInstance<C extends Class>(init: RemoteInstanceInit): ClassInstance<C> {
  return construct(RemoteInstance, init, init.manifest) as unknown as ClassInstance<C>;
}

/** The controls of an instance on a worker; its methods come from its shape. */
class RemoteInstance implements InstanceControls<Class>, Shaped {
  readonly #init: RemoteInstanceInit;

  constructor(init: RemoteInstanceInit) {
    this.#init = init;
  }

  get cls(): Cls {
    return this.#init.cls;
  }

  get id(): string {
    return this.handle.id;
  }

  get label(): string {
    return this.#init.target.label;
  }

  get closed(): boolean {
    return this.#init.target.gone !== null;
  }

  get handle(): ClassInstanceHandle {
    return this.#init.target.placement.handle;
  }

  get handleJson(): string {
    return JSON.stringify(this.handle);
  }

  get methodNames(): readonly string[] {
    return Object.keys(this.#init.manifest.methods);
  }

  hasMethod(name: string): boolean {
    return Object.hasOwn(this.#init.manifest.methods, name);
  }

  // biome-ignore lint/suspicious/noExplicitAny: known at run time only
  method(name: string): RemoteMethod<any[], any> {
    // biome-ignore lint/suspicious/noExplicitAny: known at run time only
    return this.makeStub(name) as unknown as RemoteMethod<any[], any>;
  }

  makeStub(name: string): AnyStub {
    const plan = methodPlans(this.#init.manifest).get(name);
    if (plan === undefined) return refusingStub(this, name);
    return makeStub({ target: this.#init.target, plan, options: null });
  }

  async inspect(options: CallLimits = {}): Promise<InstanceInfo> {
    return instanceInfo(await inspectInstance(this.#init, options));
  }

  async explain(options: CallLimits = {}): Promise<Explanation> {
    return await explainInstance(this.#init, options);
  }

  async close(options: CloseOptions = {}): Promise<CloseResult> {
    return await closeInstance(this.#init, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#init.isOwned && !this.closed) await this.close();
  }

  [inspect.custom](): string {
    return `ClassInstance ${this.label}${this.closed ? ' (closed)' : ''}`;
  }
}
