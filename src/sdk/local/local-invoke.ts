import { isBatchError } from '../../common/batches.js';
import type { Monotonic } from '../../common/clock.js';
import { type CallContext, callContextOrNull } from '../../common/context.js';
import { Detached } from '../../common/detached.js';
import { HoldfastError, isHoldfastError } from '../../common/errors.js';
import { mayRetry, pauseMs } from '../../common/retry.js';
import { mostCallBytes } from '../../common/spawned-call.js';
import { decodeArgs, decodeValue, encodeArgs, encodeValue } from '../../wire/codec/codec.js';
import { decodeError, encodeError, encodeUserError } from '../../wire/errors.js';
import { FunctionCall } from '../calls/function-call.js';
import type { MethodPlan } from '../calls/method-plan.js';
import type { CallOptions } from '../classes/class-types.js';
import type { KeepAlive } from '../sessions/keep-alive.js';
import { LocalCall } from './local-call.js';
import { cancelled, tooLarge } from './local-errors.js';
import type { LocalHost } from './local-host.js';
import { type LocalProgress, LocalSpawned, localSpawned } from './local-spawned.js';
import { unlessStopped } from './unless-stopped.js';

/** A method of a local instance. */
export interface LocalCallee {
  readonly host: LocalHost;
  readonly plan: MethodPlan;
  readonly concurrent: boolean;
  readonly options: CallOptions | null;
  readonly keepAlive: KeepAlive;
}

interface Attempts {
  readonly outer: CallContext | null;
  readonly deadline: Monotonic | null;
  readonly payload: Uint8Array;
  /** Of one that nobody waits for. */
  readonly progress?: LocalProgress;
}

/** Arguments and result go through the codec as they would on their way to a worker: what fails there fails here. */
export async function invokeLocally(callee: LocalCallee, args: readonly unknown[]): Promise<unknown> {
  const attempts = begin(callee, Uint8Array.from(encodeArgs(args)));
  const key = callee.options?.idempotencyKey;
  const answer = key === undefined ? runAttempts(callee, attempts) : runKeyed(callee, attempts, key);
  return decodeValue(await callee.keepAlive.during(answer));
}

/** The first call with a key runs, later ones get its answer; one that never ran does not count (C8). */
async function runKeyed(callee: LocalCallee, attempts: Attempts, key: string): Promise<Uint8Array> {
  const { keyed } = callee.host;
  const known = keyed.get(key);
  if (known !== undefined) return await known;
  const answer = runOnce(callee, attempts, 1);
  keyed.set(key, answer);
  answer.catch((e: unknown) => {
    if (isHoldfastError(e) && e.outcome === 'not-run') keyed.delete(key);
  });
  return await answer;
}

/** Resolves when it is admitted; it goes on whatever becomes of its caller, and is known in this process only. */
export async function spawnLocally(callee: LocalCallee, args: readonly unknown[]): Promise<FunctionCall> {
  const { host, plan, keepAlive } = callee;
  const { idempotencyKey, signal, timeoutMs } = callee.options ?? {};
  const id = idempotencyKey === undefined ? host.nextCallId() : `${host.id}:${plan.name}:${idempotencyKey}`;
  if (signal?.aborted) throw cancelled(`${host.label}.${plan.name}`, false);
  const known = localSpawned(id);
  if (known !== null) {
    await unlessStopped(known.admitted, { signal, timeoutMs }, 'spawn');
    return new FunctionCall(known);
  }
  const payload = Uint8Array.from(encodeArgs(args));
  if (payload.length > mostCallBytes) throw tooLarge(payload.length);
  const controller = new AbortController();
  const progress: LocalProgress = { isRunning: false, attempt: 0, onAdmitted: () => undefined };
  const own = { ...callee, options: { signal: controller.signal } };
  const admitted = new Promise<void>((resolve) => {
    progress.onAdmitted = resolve;
  });
  const answer = keepAlive.during(runAttempts(own, { outer: null, deadline: null, payload, progress }));
  const result = answer.then(decodeValue);
  result.catch(() => undefined); // for who gets it
  const outcome = Promise.race([admitted, result.then(() => undefined)]);
  // Before anybody else has a turn: with the same key it is the same call (R1).
  const spawned = new LocalSpawned(id, { method: plan.name, answer: result, progress, controller, admitted: outcome });
  await unlessStopped(outcome, { ...(timeoutMs === undefined ? {} : { timeoutMs }) }, 'spawn');
  return new FunctionCall(spawned);
}

/** The values of a generator method; each iteration is a call of its own. */
export function streamLocally(callee: LocalCallee, args: readonly unknown[]): AsyncIterable<unknown> {
  let payload: Uint8Array;
  try {
    payload = Uint8Array.from(encodeArgs(args));
  } catch (e) {
    return { [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(e) }) };
  }
  return { [Symbol.asyncIterator]: () => values(callee, begin(callee, payload)) };
}

function begin({ host, options }: LocalCallee, payload: Uint8Array): Attempts {
  const outer = callContextOrNull();
  const inherited = outer?.deadline ?? null;
  const own = options?.timeoutMs === undefined ? null : host.clock.monotonic() + options.timeoutMs;
  const deadline = own === null || inherited === null ? (own ?? inherited) : Math.min(own, inherited);
  return { outer, deadline, payload };
}

/** The class's `retries`, for what its code threw (C6). */
async function runAttempts(callee: LocalCallee, attempts: Attempts): Promise<Uint8Array> {
  const { host, plan, options } = callee;
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await runOnce(callee, attempts, attempt);
    } catch (e) {
      const isRetried = isHoldfastError(e) && mayRetry(plan.retries, e, attempt);
      if (!isRetried) throw e;
      const { clock, random } = host;
      const { retries: policy, budget } = plan;
      const delayMs = pauseMs({ policy, budget, attempt, clock, random, mostWaitMs: policy.maxDelayMs });
      const isInTime = attempts.deadline === null || clock.monotonic() + (delayMs ?? 0) < attempts.deadline;
      if (delayMs === null || !isInTime) throw e;
      await host.clock.sleep(delayMs, options?.signal).catch(() => {
        throw cancelled(`${host.label}.${plan.name}`, true);
      });
    }
  }
}

async function runOnce(callee: LocalCallee, attempts: Attempts, attempt: number): Promise<Uint8Array> {
  const { host, plan } = callee;
  const { progress } = attempts;
  const call = admitted(callee, attempts, attempt);
  if (progress !== undefined) {
    progress.attempt = attempt;
    progress.isRunning = false;
    if (!call.isRefused) progress.onAdmitted();
  }
  try {
    await call.turn;
    if (progress !== undefined) progress.isRunning = true;
  } catch (e) {
    call.end();
    throw e;
  }
  const code = (async () => await host.activation.invoke(plan.name, decodeArgs(attempts.payload), call.context()))();
  const answer = code.then(
    (value) => encoded(value instanceof Detached ? value.answer : value),
    (thrown) => Promise.reject(thrownError(thrown, call)),
  );
  // The slot is the code's, not the caller's who may have left.
  const released = (): void => {
    call.end();
    host.release(call);
  };
  code.then((value) => {
    if (!(value instanceof Detached)) return released();
    host.detached(call);
    return value.done.then(released);
  }, released);
  return await Promise.race([answer, call.given]);
}

async function* values(callee: LocalCallee, attempts: Attempts): AsyncGenerator<unknown, void, undefined> {
  const { host, plan, keepAlive } = callee;
  const call = admitted(callee, attempts, 1);
  keepAlive.enter();
  let iterator: AsyncIterator<unknown, void, undefined> | null = null;
  try {
    await call.turn;
    iterator = host.activation.generate(plan.name, decodeArgs(attempts.payload), call.context());
    for (;;) {
      const step = iterator.next().catch((thrown: unknown) => Promise.reject(thrownError(thrown, call)));
      const { done, value } = await Promise.race([step, call.given]);
      if (done) return;
      yield decodeValue(encoded(value));
    }
  } finally {
    keepAlive.leave();
    call.controller.abort(cancelled(call.what, true));
    void stopped(iterator).then(() => {
      call.end();
      if (call.isRunning) host.release(call);
    });
  }
}

function admitted({ host, plan, concurrent, options }: LocalCallee, attempts: Attempts, attempt: number): LocalCall {
  const { outer, deadline } = attempts;
  const call = new LocalCall(host, {
    plan,
    concurrent,
    attempt,
    outer,
    deadline,
    callId: host.nextCallId(),
    signal: options?.signal ?? null,
  });
  if (options?.signal?.aborted || outer?.signal.aborted) call.aborted();
  else {
    call.watch();
    host.admit(call);
  }
  return call;
}

/** The slot is held until the generator's own `finally` has run. */
async function stopped(iterator: AsyncIterator<unknown, void, undefined> | null): Promise<void> {
  try {
    await iterator?.return?.();
  } catch {
    // What a `finally` throws after its reader has left has no reader.
  }
}

/** The codec says `not-run` of a value that it refuses; here the user's code has made the value. */
function encoded(value: unknown): Uint8Array {
  try {
    return Uint8Array.from(encodeValue(value));
  } catch (e) {
    if (!isHoldfastError(e)) throw e;
    throw new HoldfastError(e.code, e.message, { outcome: 'ran', details: e.details, cause: e.cause });
  }
}

function thrownError(thrown: unknown, call: LocalCall): unknown {
  if (thrown !== undefined && thrown === call.controller.signal.reason) return thrown;
  if (isBatchError(thrown)) return decodeError(encodeError(thrown));
  if (call.isBuiltIn) return decodeError(encodeError(thrown));
  return decodeError(encodeUserError(thrown));
}
