import { Batcher, type BatchOptions } from './batches.js';
import type { Clock } from './clock.js';
import { type CallContext, runInContext } from './context.js';
import { HoldfastError } from './errors.js';

// biome-ignore lint/suspicious/noExplicitAny: a class of the user's, its arguments are his
export type InstanceClass = abstract new (...args: any[]) => object;

export type ExitReason = 'close' | 'idle' | 'drain' | 'redeploy';

/** How the one run of the `exit` hooks went; `none`: the class has none. */
export interface ExitReport {
  readonly exitHook: 'ran' | 'failed' | 'timed-out' | 'none';
  /** Of the first hook that failed. */
  readonly error?: string;
}

/** What all instances of a class have in common; there may be very many of them. */
export interface ActivatedClass {
  readonly instanceClass: InstanceClass;
  /** The decorated ones; nothing else can be called (C9). */
  readonly methods: ReadonlySet<string>;
  /** In the order in which they run. */
  readonly enterHooks: readonly string[];
  readonly exitHooks: readonly string[];
  /** Methods whose single calls are gathered; absent: none. */
  readonly batches?: ReadonlyMap<string, BatchOptions>;
  /** Batches of one method that run at once. Default 1. */
  readonly concurrentRequests?: number;
  /** What the constructor or a hook threw is what the caller gets: no attempt would mend it. Default: nothing is. */
  readonly isFinal?: (thrown: unknown) => boolean;
  readonly clock: Clock;
}

/** Which instance it is. */
export interface Activated {
  /** `app/Class/id`, for messages. */
  readonly label: string;
  /** The context of the constructor (attempt 1 and up) and of hooks. */
  hookContext(signal: AbortSignal, attempt: number): CallContext;
}

/** All that is needed to make one instance of a class. */
export interface ActivationPlan {
  readonly klass: ActivatedClass;
  readonly subject: Activated;
  readonly args: readonly unknown[];
}

type Method = (...args: readonly unknown[]) => unknown;

const maxAttempts = 3;
/** Before attempts 2 and 3. */
const backoffMs = [100, 400];

/**
 * Makes the object and runs its `enter` hooks (C3), up to 3 times, each time with a new object.
 *
 * @throws ActivationFailed with what the user's code threw as cause, and the signal's reason where it aborts: once the hook that runs
 *   has ended, so that no code of it is left
 */
export async function activate(plan: ActivationPlan, signal: AbortSignal): Promise<Activation> {
  const { klass, subject, args } = plan;
  let failure: { readonly hook: string; readonly thrown: unknown } | null = null;
  for (let attempt = 1; attempt <= maxAttempts; attempt += 1) {
    if (attempt > 1) await klass.clock.sleep(backoffMs[attempt - 2] ?? 0, signal);
    signal.throwIfAborted();
    let hook = 'constructor';
    const context = subject.hookContext(signal, attempt);
    try {
      const object = runInContext(context, () => construct(klass.instanceClass, args));
      for (hook of klass.enterHooks) {
        await runInContext(context, () => call(object, hook, []));
        signal.throwIfAborted();
      }
      return new Activation(klass, subject, object);
    } catch (thrown) {
      signal.throwIfAborted();
      if (klass.isFinal?.(thrown)) throw thrown;
      failure = { hook, thrown };
    }
  }
  throw activationFailed(subject.label, failure?.hook ?? 'constructor', failure?.thrown);
}

/** One live object of a user's class: its methods by name, its generators, its end. */
export class Activation {
  readonly #class: ActivatedClass;
  readonly #subject: Activated;
  readonly #object: object;
  #exit: Promise<ExitReport> | null = null;
  /** By method; made when one is called whose calls are gathered. */
  #batchers: Map<string, Batcher> | null = null;

  /** @internal Use `activate`. */
  constructor(klass: ActivatedClass, subject: Activated, object: object) {
    this.#class = klass;
    this.#subject = subject;
    this.#object = object;
  }

  /** Only names of the class's list, never a property of the object that merely exists (C9). */
  hasMethod(methodName: string): boolean {
    return this.#class.methods.has(methodName);
  }

  /**
   * Calls a method, or has the call wait for its batch; what it throws comes through as it is.
   *
   * @returns what the method returned, a promise or not
   * @throws NotFound where the class has no such decorated method
   */
  invoke(methodName: string, args: readonly unknown[], context: CallContext): unknown {
    const batch = this.#class.batches?.get(methodName);
    if (batch !== undefined) return this.#batcherOf(methodName, batch).add(args[0], context);
    const method = this.#method(methodName);
    return runInContext(context, () => method.apply(this.#object, args as unknown[]));
  }

  /**
   * Calls a generator method, sync or async. Every step runs in the context; `return()` stops the generator and must be called
   * when the rest of its values is not wanted (C8).
   *
   * @throws NotFound where the class has no such decorated method
   */
  generate(
    methodName: string,
    args: readonly unknown[],
    context: CallContext,
  ): AsyncIterator<unknown, void, undefined> {
    const method = this.#method(methodName);
    const made = runInContext(context, () => method.apply(this.#object, args as unknown[]));
    return new DrivenGenerator(made, context, `${this.#subject.label}.${methodName}`);
  }

  /** Runs the `exit` hooks, once however often it is asked (C3). After `timeoutMs` it no longer waits for them. */
  exit(reason: ExitReason, timeoutMs: number): Promise<ExitReport> {
    this.#exit ??= this.#runExitHooks(reason, timeoutMs);
    return this.#exit;
  }

  #batcherOf(methodName: string, options: BatchOptions): Batcher {
    this.#batchers ??= new Map();
    const known = this.#batchers.get(methodName);
    if (known !== undefined) return known;
    const method = this.#method(methodName);
    const { clock, concurrentRequests = 1 } = this.#class;
    const batcher = new Batcher({
      label: `${this.#subject.label}.${methodName}`,
      options,
      mostAtOnce: concurrentRequests,
      clock,
      run: (inputs, context) => runInContext(context, () => method.call(this.#object, inputs)),
    });
    this.#batchers.set(methodName, batcher);
    return batcher;
  }

  #method(name: string): Method {
    const method: unknown = this.#class.methods.has(name) ? Reflect.get(this.#object, name) : undefined;
    if (typeof method === 'function') return method as Method;
    if (this.hasMethod(name)) {
      throw new HoldfastError(
        'InvalidArgument',
        `${this.#subject.label}.${name} is no function any more: its class has put ${method === null ? 'null' : `a value of type ${typeof method}`} in its place; give that field another name`,
        { details: { method: name } },
      );
    }
    throw new HoldfastError(
      'NotFound',
      `${this.#subject.label} has no method ${JSON.stringify(name)}; it has: ${[...this.#class.methods].join(', ') || 'none'}`,
      { details: { method: name } },
    );
  }

  async #runExitHooks(reason: ExitReason, timeoutMs: number): Promise<ExitReport> {
    if (this.#class.exitHooks.length === 0) return { exitHook: 'none' };
    const overtime = new AbortController();
    const late = new HoldfastError(
      'DeadlineExceeded',
      `the exit hooks of ${this.#subject.label} did not end within ${timeoutMs} ms; raise exitTimeoutMs or do less there`,
      { outcome: 'unknown', details: { timeoutMs } },
    );
    const timer = this.#class.clock.after(timeoutMs, () => overtime.abort(late));
    try {
      return await orAborted(this.#exitHooksInOrder(reason, overtime.signal), overtime.signal);
    } catch {
      // Only the abort rejects: the hooks' own errors are in their report.
      return { exitHook: 'timed-out', error: late.message };
    } finally {
      timer.cancel();
    }
  }

  /** A hook that fails does not keep the others from running: they free other things. */
  async #exitHooksInOrder(reason: ExitReason, signal: AbortSignal): Promise<ExitReport> {
    const context = this.#subject.hookContext(signal, 1);
    let failure: string | null = null;
    for (const hook of this.#class.exitHooks) {
      if (signal.aborted) break;
      try {
        await runInContext(context, () => call(this.#object, hook, [reason]));
      } catch (thrown) {
        failure ??= `exit hook ${JSON.stringify(hook)} threw ${describeThrown(thrown)}`;
      }
    }
    return failure === null ? { exitHook: 'ran' } : { exitHook: 'failed', error: failure };
  }
}

/** Drives what a generator method returned: a generator, any other iterator, or a promise of one. */
class DrivenGenerator implements AsyncIterator<unknown, void, undefined> {
  readonly #made: unknown;
  readonly #context: CallContext;
  readonly #label: string;
  #iterator: Iterator<unknown> | AsyncIterator<unknown> | null = null;

  constructor(made: unknown, context: CallContext, label: string) {
    this.#made = made;
    this.#context = context;
    this.#label = label;
  }

  async next(): Promise<IteratorResult<unknown, void>> {
    const iterator = this.#iterator ?? (await this.#start());
    const step = await runInContext(this.#context, () => iterator.next());
    return step.done ? { done: true, value: undefined } : { done: false, value: await step.value };
  }

  async return(): Promise<IteratorResult<unknown, void>> {
    const iterator = this.#iterator ?? (await this.#start());
    await runInContext(this.#context, () => iterator.return?.());
    return { done: true, value: undefined };
  }

  async #start(): Promise<Iterator<unknown> | AsyncIterator<unknown>> {
    const made = await this.#made;
    const iterator = runInContext(this.#context, () => iteratorOf(made));
    if (iterator === null) {
      throw new HoldfastError(
        'InvalidArgument',
        `${this.#label} was called as a generator but returned no iterator; declare it as function* or async function*`,
        { outcome: 'ran' },
      );
    }
    this.#iterator = iterator;
    return iterator;
  }
}

function iteratorOf(made: unknown): Iterator<unknown> | AsyncIterator<unknown> | null {
  if (typeof made !== 'object' || made === null) return null;
  if (Symbol.asyncIterator in made) return (made as AsyncIterable<unknown>)[Symbol.asyncIterator]();
  if (Symbol.iterator in made) return (made as Iterable<unknown>)[Symbol.iterator]();
  return null;
}

function construct(instanceClass: InstanceClass, args: readonly unknown[]): object {
  return Reflect.construct(instanceClass, args) as object;
}

function call(object: object, hook: string, args: readonly unknown[]): unknown {
  return (Reflect.get(object, hook) as Method).apply(object, args as unknown[]);
}

/** What `work` comes to, unless the signal aborts first: user code that ignores its signal must not hold up anyone. */
export async function orAborted<T>(work: T | PromiseLike<T>, signal: AbortSignal): Promise<T> {
  let onAbort = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason as Error);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

function activationFailed(label: string, hook: string, thrown: unknown): HoldfastError {
  const where = hook === 'constructor' ? 'constructor' : `enter hook ${JSON.stringify(hook)}`;
  return new HoldfastError(
    'ActivationFailed',
    `${label} did not start: its ${where} threw ${describeThrown(thrown)} in each of ${maxAttempts} attempts`,
    { cause: thrown, details: { attempts: maxAttempts, hook } },
  );
}

function describeThrown(thrown: unknown): string {
  if (thrown instanceof Error) return `${thrown.name}: ${thrown.message}`;
  return typeof thrown === 'object' ? 'an object that is no Error' : `the ${typeof thrown} ${String(thrown)}`;
}
