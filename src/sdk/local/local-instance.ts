import { inspect } from 'node:util';
import { checkOptions } from '../../common/check-options.js';
import { decodeArgs, encodeArgs } from '../../wire/codec/codec.js';
import { refuseLoop } from '../calls/answer-in-a-loop.js';
import { arityProblem, wrongArguments } from '../calls/arguments.js';
import { type CallLimits, Limits, limitChecks } from '../calls/call-limits.js';
import { checkCloseOptions, mergeCallOptions } from '../calls/call-options.js';
import { methodPlans } from '../calls/method-plan.js';
import { type AnyStub, finishStub } from '../calls/stub.js';
import type { CallOptions, Class, InstanceControls, LocalClassInstance, RemoteMethod } from '../classes/class-types.js';
import type { Cls } from '../classes/cls.js';
import { construct, refusingStub, type Shaped } from '../classes/instance-shape.js';
import type { RegisteredClass } from '../classes/registry.js';
import { systemParts } from '../default-client.js';
import { localAccount } from '../handle-input.js';
import type { ClassInstanceHandle, CloseOptions, CloseResult, Explanation, InstanceInfo } from '../infos.js';
import { KeepAlive } from '../sessions/keep-alive.js';
import { consoleLogger } from './console-logger.js';
import { LocalHost, type LocalParts } from './local-host.js';
import { invokeLocally, type LocalCallee, spawnLocally, streamLocally } from './local-invoke.js';
import { checkLocalResources } from './local-resources.js';
import { unlessStopped } from './unless-stopped.js';

interface LocalInit {
  readonly cls: Cls;
  readonly host: LocalHost;
}

const keepAlive = new KeepAlive();

/** Starts an instance in this process. @throws ActivationFailed, InvalidArgument, NotSerializable */
export async function localInstance<C extends Class>(
  cls: Cls,
  registered: RegisteredClass,
  given: { readonly args: readonly unknown[]; readonly parts?: LocalParts },
): Promise<LocalClassInstance<C>> {
  const { args, parts = { ...systemParts, log: consoleLogger } } = given;
  const { manifest, name } = registered;
  // Source text does not say which of TypeScript's parameters are optional: only too many are certainly wrong.
  const problem = args.length > manifest.parameters.length ? arityProblem(manifest.parameters, args) : null;
  if (problem !== null) throw wrongArguments(name, problem);
  checkLocalResources(`class '${name}'`, registered.options);
  const host = new LocalHost(registered, parts);
  await keepAlive.during(host.start(decodeArgs(encodeArgs(args))));
  return construct(LocalInstance, { cls, host }, manifest) as unknown as LocalClassInstance<C>;
}

/** The controls of an instance in this process; its methods come from its shape. */
class LocalInstance implements InstanceControls<Class>, Shaped {
  readonly #init: LocalInit;

  constructor(init: LocalInit) {
    this.#init = init;
  }

  get cls(): Cls {
    return this.#init.cls;
  }

  get id(): string {
    return this.#init.host.id;
  }

  get label(): string {
    return this.#init.host.label;
  }

  get closed(): boolean {
    return this.#init.host.phase !== 'active';
  }

  /** Good for nothing but to look at: only this process knows the instance. */
  get handle(): ClassInstanceHandle {
    const { appName, className } = this.#init.host.facts;
    const { id } = this;
    return {
      v: 1,
      kind: 'class',
      account: localAccount,
      app: appName,
      name: className,
      id,
      generation: 1,
      signature: '',
    };
  }

  get handleJson(): string {
    return JSON.stringify(this.handle);
  }

  get methodNames(): readonly string[] {
    return Object.keys(this.#init.host.manifest.methods);
  }

  hasMethod(name: string): boolean {
    return Object.hasOwn(this.#init.host.manifest.methods, name);
  }

  // biome-ignore lint/suspicious/noExplicitAny: known at run time only
  method(name: string): RemoteMethod<any[], any> {
    // biome-ignore lint/suspicious/noExplicitAny: known at run time only
    return this.makeStub(name) as unknown as RemoteMethod<any[], any>;
  }

  makeStub(name: string): AnyStub {
    const { host } = this.#init;
    const plan = methodPlans(host.manifest).get(name);
    if (plan === undefined) return refusingStub(this, name);
    const concurrent = host.manifest.methods[name]?.concurrent ?? false;
    return localStub({ host, plan, concurrent, options: null, keepAlive });
  }

  async inspect(options: CallLimits = {}): Promise<InstanceInfo> {
    this.#check('inspect', options);
    const { facts, running, pending, createdAtMs, lastCallAtMs, phase } = this.#init.host;
    return {
      app: facts.appName,
      name: facts.className,
      id: this.id,
      generation: 1,
      epoch: facts.epoch,
      state: phase,
      workerId: null,
      running,
      pending,
      deployment: 0,
      createdAt: new Date(createdAtMs),
      lastCallAt: lastCallAtMs === null ? null : new Date(lastCallAtMs),
      restarts: 0,
    };
  }

  async explain(options: CallLimits = {}): Promise<Explanation> {
    const info = await this.inspect(options);
    const placement = { chosen: 'this process', score: 0, rejected: [], kept: [] };
    return { info, placement, leaseAgeMs: 0, phasesMs: {}, transitions: [] };
  }

  async close(options: CloseOptions = {}): Promise<CloseResult> {
    checkCloseOptions(options);
    const { host } = this.#init;
    const alreadyClosed = host.phase === 'closed';
    const report = await keepAlive.during(
      unlessStopped(host.close(options.force ?? false), options, `the close of ${this.label}`),
    );
    return { closed: true, alreadyClosed, ...report };
  }

  #check(what: string, options: CallLimits): void {
    checkOptions(what, options, limitChecks);
    Limits.of(this.#init.host.clock, `${what} of ${this.label}`, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.closed) await this.close();
  }

  [inspect.custom](): string {
    return `LocalClassInstance ${this.label}${this.closed ? ' (closed)' : ''}`;
  }
}

function localStub(callee: LocalCallee): AnyStub {
  const { plan, host } = callee;
  const call = plan.generator
    ? (...args: readonly unknown[]) => streamLocally(callee, args)
    : (...args: readonly unknown[]) => refuseLoop(invokeLocally(callee, args));
  const calls = { call, spawn: (...args: readonly unknown[]) => spawnLocally(callee, args) };
  return finishStub(plan, calls, (options: CallOptions) =>
    localStub({ ...callee, options: mergeCallOptions(`${host.label}.${plan.name}`, callee.options, options) }),
  );
}
