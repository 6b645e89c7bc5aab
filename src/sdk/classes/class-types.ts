import type { CallLimits } from '../calls/call-limits.js';
import type { FunctionCall } from '../calls/function-call.js';
import type { AnyFunction, RemoteFunction } from '../functions/function-types.js';
import type { ClassInstanceHandle, CloseOptions, CloseResult, Explanation, InstanceInfo } from '../infos.js';
import type { Sandbox } from '../sandbox/sandbox.js';
import type { Cls } from './cls.js';

/** Any class. */
// biome-ignore lint/suspicious/noExplicitAny: `unknown` would refuse every class whose constructor has parameters
export type Class = abstract new (...args: any) => object;

/** Parameters of the constructor of `C`. */
export type Args<C extends Class> = ConstructorParameters<C>;

/** What is left of `A` when the arguments `P` are bound; both handle optional parameters. */
export type Rest<A extends readonly unknown[], P extends readonly unknown[]> = number extends A['length']
  ? A
  : P extends readonly [unknown, ...infer PT]
    ? A extends readonly [unknown?, ...infer AT]
      ? Rest<AT, PT>
      : never
    : A;

/** Every way to give the first few of the arguments `A`. */
export type Prefix<A extends readonly unknown[]> = number extends A['length']
  ? A
  : A extends readonly []
    ? []
    : A extends readonly [(infer H)?, ...infer T]
      ? [] | [H] | [H, ...Prefix<T>]
      : [];

declare const batched: unique symbol;

/**
 * What a method with the option `batch` has for its parameter, so that callers see it as a method of single values:
 * `@method({ batch: { maxSize: 32, waitMs: 5 } }) embed(texts: Batch<string>): Promise<number[][]>` is called with a string.
 */
export type Batch<T> = readonly T[] & { readonly [batched]?: T };

type Single<A extends readonly unknown[], R> = A extends readonly [infer B]
  ? typeof batched extends keyof B
    ? B extends Batch<infer T>
      ? Awaited<R> extends readonly (infer Y)[]
        ? RemoteMethod<[T], Y>
        : never
      : never
    : never
  : never;

/** `never` and `any` results are methods, iterables that can be driven are generators. */
export type Stub<A extends readonly unknown[], R> = [R] extends [never]
  ? RemoteMethod<A, never>
  : 0 extends 1 & R
    ? // biome-ignore lint/suspicious/noExplicitAny: an untyped result stays untyped
      RemoteMethod<A, any>
    : [R] extends [AsyncIterable<infer Y> | (Iterable<infer Y> & { next: unknown })]
      ? RemoteGenerator<A, Y>
      : [Single<A, R>] extends [never]
        ? RemoteMethod<A, Awaited<R>>
        : Single<A, R>;

/** The public methods of an object as remote stubs. */
export type Methods<I> = {
  // biome-ignore lint/suspicious/noExplicitAny: any function
  readonly [K in keyof I as K extends string ? (I[K] extends (...a: any[]) => any ? K : never) : never]: I[K] extends (
    ...args: infer A
  ) => infer R
    ? Stub<A, R>
    : never;
};

/** What every instance has besides its methods. */
export interface InstanceControls<C extends Class> {
  readonly cls: Cls<C>;
  readonly id: string;
  /** True after this client closed it or saw that it is gone. */
  readonly closed: boolean;
  /** Plain data, safe to store or send; signed, so that a forged one is refused. */
  readonly handle: ClassInstanceHandle;
  readonly handleJson: string;
  readonly methodNames: readonly string[];
  hasMethod(name: string): boolean;
  /** For a method whose name a control below hides, or one known only at run time. */
  // biome-ignore lint/suspicious/noExplicitAny: known at run time only
  method(name: string): RemoteMethod<any[], any>;
  inspect(options?: CallLimits): Promise<InstanceInfo>;
  /** Idempotent. Running calls finish, waiting calls are refused, `exit` hooks run once; `force` skips the waiting. */
  close(options?: CloseOptions): Promise<CloseResult>;
  /** Why it is where it is: owner, epoch, lease age, queue, last transitions. */
  explain(options?: CallLimits): Promise<Explanation>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** `await instance.infer('x')` and `await instance.infer.remote('x')` are the same call. */
export type ClassInstance<C extends Class = Class> = Omit<Methods<InstanceType<C>>, keyof InstanceControls<C>> &
  InstanceControls<C>;

/** An instance in this process; the same surface as a remote one. */
export type LocalClassInstance<C extends Class = Class> = ClassInstance<C>;

/** A method that runs where its instance is. */
export interface RemoteMethod<A extends readonly unknown[], R> {
  (...args: A): Promise<R>;
  remote(...args: A): Promise<R>;
  /**
   * Starts the call and resolves when it is admitted and recorded; its result can be fetched later, by another process too. Options
   * of `with` bound that, and not the call; the same `idempotencyKey` spawns one call and finds it again.
   * @throws PendingLimitExceeded, PayloadTooLarge above 1 MiB of arguments, and every code of a call that cannot be admitted
   */
  spawn(...args: A): Promise<FunctionCall<R>>;
  with(options: CallOptions): RemoteMethod<A, R>;
}

/** A generator method; the call starts when its values are first asked for, and leaving the loop stops it. */
export interface RemoteGenerator<A extends readonly unknown[], Y> {
  (...args: A): AsyncIterable<Y>;
  remoteGen(...args: A): AsyncIterable<Y>;
  with(options: CallOptions): RemoteGenerator<A, Y>;
}

/** Of one call, or of all calls of a stub. */
export interface CallOptions {
  readonly signal?: AbortSignal;
  /** From the caller's side: queueing, running and answering together. */
  readonly timeoutMs?: number;
  /** Calls with the same key on the same instance run once; later ones get the first one's answer. */
  readonly idempotencyKey?: string;
}

/** Exports of the app's module, seen from a client: classes become `Cls`, functions and sandboxes stay themselves. */
export type RemoteApp<M> = {
  // biome-ignore lint/suspicious/noExplicitAny: a function of any kind
  readonly [K in keyof M as M[K] extends Class | Sandbox | RemoteFunction<any> ? K : never]: M[K] extends Class
    ? Cls<M[K]>
    : M[K];
} & {
  readonly appName: string;
  cls<C extends Class = Class>(name: string): Cls<C>;
  function<F extends AnyFunction>(name: string): RemoteFunction<F>;
  sandbox(name: string): Sandbox;
};
