import { checkOptions } from '../../common/check-options.js';
import { HoldfastError, isHoldfastError } from '../../common/errors.js';
import type { ClassManifest, MethodManifest } from '../../common/manifest.js';
import { decodeArgs, encodeArgs } from '../../wire/codec/codec.js';
import { type CallLimits, Limits, limitChecks } from '../calls/call-limits.js';
import type { FunctionCall } from '../calls/function-call.js';
import { explainInstance, explainNamed } from '../calls/instance-requests.js';
import { methodPlans } from '../calls/method-plan.js';
import { startSpawn } from '../calls/spawn.js';
import { type Callee, startEncoded, startStreamOf } from '../calls/start-call.js';
import { type ClassOrigin, ClassSource } from '../classes/class-source.js';
import type { CallOptions } from '../classes/class-types.js';
import { resourceOf } from '../classes/deployments.js';
import type { Explanation } from '../infos.js';
import { functionMethod } from './function-class.js';
import { functionInstanceId } from './function-instance.js';

type FunctionOrigin = Omit<ClassOrigin, 'kind'>;

/** A call that never ran looks for its function anew that often: its instance was closed. */
const mostBinds = 3;

/** A function against the cluster. Its instance is looked for by the first call, and again where it has been closed. */
export class FunctionSource {
  readonly origin: FunctionOrigin;
  readonly #source: ClassSource;
  #bound: Callee | null = null;
  #binding: Promise<Callee> | null = null;

  constructor(origin: FunctionOrigin) {
    this.origin = origin;
    this.#source = new ClassSource({ ...origin, kind: 'function' });
  }

  get manifest(): ClassManifest {
    return this.#source.manifest;
  }

  get shape(): MethodManifest {
    return this.manifest.methods[functionMethod] as MethodManifest;
  }

  /** The arguments are taken as they are now. @throws every code of a call */
  call(args: readonly unknown[], options: CallOptions | null = null): Promise<unknown> {
    let payload: Uint8Array;
    try {
      payload = encodeArgs(args);
    } catch (e) {
      return Promise.reject(e);
    }
    const bound = this.#whereBound();
    if (bound === null) return this.#callUnbound(payload, { options, binds: 1 });
    return startEncoded({ ...bound, options }, payload).catch((e: unknown) => {
      if (!isHoldfastError(e, 'InstanceGone')) throw e;
      return this.#callUnbound(payload, { options, binds: 1 });
    });
  }

  /** Returns at admission; the arguments are taken as they are now. @throws every code of a call that is not admitted */
  async spawn(args: readonly unknown[]): Promise<FunctionCall> {
    const taken = decodeArgs(Uint8Array.from(encodeArgs(args)));
    for (let binds = 1; ; binds += 1) {
      const callee = this.#whereBound() ?? (await this.#bind());
      try {
        return await startSpawn(callee, taken);
      } catch (e) {
        if (!isHoldfastError(e, 'InstanceGone') || e.outcome !== 'not-run' || binds >= mostBinds) throw e;
      }
    }
  }

  /** Each iteration is a call of its own, with the arguments as they are now. */
  stream(args: readonly unknown[], options: CallOptions | null = null): AsyncIterable<unknown> {
    let payload: Uint8Array;
    try {
      payload = Uint8Array.from(encodeArgs(args));
    } catch (e) {
      return { [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(e) }) };
    }
    const begin = async (): Promise<AsyncIterator<unknown>> => {
      const callee = this.#whereBound() ?? (await this.#bind());
      return startStreamOf({ ...callee, options }, payload)[Symbol.asyncIterator]();
    };
    return { [Symbol.asyncIterator]: () => new LateIterator(begin) };
  }

  /** Where this program's calls go; before its first one, where it would. @throws NotFound where nobody has called it as it is deployed */
  async explain(options: CallLimits = {}): Promise<Explanation> {
    const { appName, name } = this.origin;
    const what = `explain of function ${appName}/${name}`;
    checkOptions(what, options, limitChecks);
    const { client } = this.#source;
    const limits = Limits.of(client.clock, what, options);
    const bound = this.#whereBound();
    if (bound !== null) return await explainInstance({ client, target: bound.target }, limits?.rest ?? {});
    const { version } = this.origin.deployment ?? (await this.#source.refresh(limits)).deployment;
    const instance = { app: appName, className: name, id: functionInstanceId(version) };
    try {
      return await explainNamed(client, { instance, generation: 0 }, limits?.rest ?? {});
    } catch (cause) {
      if (!isHoldfastError(cause, 'NotFound')) throw cause;
      const message = `function ${appName}/${name} has not been called as deployment ${version}: call it once, then explain it`;
      throw new HoldfastError('NotFound', message, { details: { app: appName, function: name, version }, cause });
    }
  }

  async #callUnbound(
    payload: Uint8Array,
    { options, binds }: { readonly options: CallOptions | null; readonly binds: number },
  ): Promise<unknown> {
    const callee = this.#whereBound() ?? (await this.#bind());
    try {
      return await startEncoded({ ...callee, options }, payload);
    } catch (e) {
      if (!isHoldfastError(e, 'InstanceGone') || binds >= mostBinds) throw e;
      return await this.#callUnbound(payload, { options, binds: binds + 1 });
    }
  }

  #whereBound(): Callee | null {
    return this.#bound === null || this.#bound.target.gone !== null ? null : this.#bound;
  }

  /** All calls that come meanwhile share it; the next one tries anew where it fails. */
  #bind(): Promise<Callee> {
    this.#binding ??= this.#find().finally(() => {
      this.#binding = null;
    });
    return this.#binding;
  }

  async #find(): Promise<Callee> {
    const known = this.origin.deployment ?? (await this.#source.refresh()).deployment;
    const target = await this.#source.create(null, [known.version]);
    const { app, name } = target.placement.handle;
    const running = await this.#source.client.deployments.version(app, target.placement.deployment);
    const plan = methodPlans(resourceOf(running, 'function', name)).get(functionMethod);
    if (plan === undefined) throw new TypeError(`function ${app}/${name} has no method`);
    this.#bound = { target, plan, options: null };
    return this.#bound;
  }
}

/** Begins with its first `next()`. */
class LateIterator implements AsyncIterator<unknown, undefined, undefined> {
  readonly #begin: () => Promise<AsyncIterator<unknown>>;
  #begun: Promise<AsyncIterator<unknown>> | null = null;
  #isOver = false;

  constructor(begin: () => Promise<AsyncIterator<unknown>>) {
    this.#begin = begin;
  }

  async next(): Promise<IteratorResult<unknown, undefined>> {
    if (this.#isOver) return { done: true, value: undefined };
    this.#begun ??= this.#begin();
    const values = await this.#begun;
    return (await values.next()) as IteratorResult<unknown, undefined>;
  }

  async return(): Promise<IteratorResult<unknown, undefined>> {
    this.#isOver = true;
    const begun = this.#begun;
    // One that could not begin has nothing to end.
    const values = await begun?.catch(() => null);
    await values?.return?.();
    return { done: true, value: undefined };
  }
}
