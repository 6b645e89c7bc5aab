import type { Monotonic } from '../../common/clock.js';
import { callContextOrNull } from '../../common/context.js';
import { HoldfastError, isHoldfastError } from '../../common/errors.js';
import { type CallId, instanceOfCall, isEnded, type SpawnedState } from '../../common/spawned-call.js';
import { decodeValue } from '../../wire/codec/codec.js';
import { decodeError } from '../../wire/errors.js';
import {
  CancelSpawnedAnswer,
  CancelSpawnedRequest,
  GetSpawnedRequest,
  SpawnedView,
} from '../../wire/gen/holdfast/v1/router.js';
import { explanation, instanceInfo } from '../classes/instance-infos.js';
import type { ClientCore } from '../sessions/client-core.js';
import type { WaitLimits } from '../sessions/spawned-waits.js';
import { cancelled, maxMovingMs } from './call-errors.js';
import { type CallLimits, Limits } from './call-limits.js';
import { checkGetOptions } from './call-options.js';
import type { FunctionCallExplanation, FunctionCallStatus, SpawnedAccess } from './function-call.js';

/** The client that asks. */
export type SpawnedHost = Pick<ClientCore, 'ask' | 'waitForSpawned' | 'isClosed' | 'clock'>;

/** After no answer. */
const againAfterMs = 200;

/** A spawned call of the cluster. @throws InvalidArgument, NotFound */
export async function findSpawned(client: SpawnedHost, id: string, options: CallLimits): Promise<SpawnedAccess> {
  if (typeof id !== 'string' || instanceOfCall(id) === null) {
    throw new HoldfastError(
      'InvalidArgument',
      `${JSON.stringify(id)} is no id of a call: expected one that \`spawn\` has returned, fc-…`,
    );
  }
  const found = new RemoteSpawned(client, id as CallId);
  await found.status(options);
  return found;
}

/** One that was just spawned. */
export function remoteSpawned(client: SpawnedHost, id: CallId): SpawnedAccess {
  return new RemoteSpawned(client, id);
}

class RemoteSpawned implements SpawnedAccess {
  readonly id: CallId;
  readonly #client: SpawnedHost;

  constructor(client: SpawnedHost, id: CallId) {
    this.#client = client;
    this.id = id;
  }

  async get(options: { readonly timeoutMs?: number; readonly signal?: AbortSignal }): Promise<unknown> {
    checkGetOptions(options);
    const { clock } = this.#client;
    Limits.of(clock, `waiting for call ${this.id}`, options); // refuses a signal that is aborted already
    const outer = callContextOrNull();
    const ends = [outer?.deadline, options.timeoutMs === undefined ? null : clock.monotonic() + options.timeoutMs];
    const deadline = Math.min(...ends.map((end) => end ?? Number.POSITIVE_INFINITY));
    const signals = [options.signal, outer?.signal].filter((signal) => signal !== undefined);
    const signal = signals.length === 0 ? null : AbortSignal.any(signals);
    for (let unansweredAt: Monotonic | null = null; ; ) {
      if (signal?.aborted) throw cancelled(`waiting for call ${this.id}`, 'unknown');
      const leftMs = deadline - clock.monotonic();
      if (leftMs <= 0) throw this.#late(options.timeoutMs);
      const view = await this.#look({ leftMs, signal }).catch((error: unknown) => {
        // Routers may be away, as long as they come back. Not counted from the last word: it may have waited long to be asked for.
        unansweredAt ??= clock.monotonic();
        const isPatient = isUnanswered(error) && clock.monotonic() - unansweredAt < maxMovingMs;
        if (!signal?.aborted && (!isPatient || this.#client.isClosed)) throw error;
        return null;
      });
      if (view?.answer !== undefined) return answerOf(view.state, view.answer);
      if (view !== null) unansweredAt = null;
      else await clock.sleep(Math.min(againAfterMs, leftMs), signal ?? undefined).catch(() => undefined); // the loop sees it
    }
  }

  async #look(limits: WaitLimits): Promise<SpawnedView> {
    const view = await this.#client.waitForSpawned(this.id, limits);
    if (view.answer !== undefined || !isEnded({ state: view.state as SpawnedState })) return view;
    // Too large to share a message with others.
    const { leftMs, signal } = limits;
    return await this.#ask({}, { timeoutMs: Math.min(leftMs, maxMovingMs), signal: signal ?? undefined });
  }

  async status(options: CallLimits): Promise<FunctionCallStatus> {
    return (await this.#ask({}, options)).state as FunctionCallStatus;
  }

  async cancel(options: CallLimits): Promise<'never-ran' | 'aborted' | 'already-finished'> {
    const asked = { request: { id: this.id }, of: CancelSpawnedRequest, reply: CancelSpawnedAnswer };
    // Asked twice it says what the first one has come to.
    const { outcome } = await this.#client.ask(
      'CancelSpawned',
      asked,
      Limits.of(this.#client.clock, `the cancel of call ${this.id}`, options),
    );
    return outcome as 'never-ran' | 'aborted' | 'already-finished';
  }

  async explain(options: CallLimits): Promise<FunctionCallExplanation> {
    const view = await this.#ask({ explain: true }, options);
    const { state, method, attempt, losses, where, spawnedAtMs, startedAtMs, endedAtMs } = view;
    const nowMs = this.#client.clock.now();
    const begunMs = startedAtMs ?? endedAtMs ?? nowMs;
    const instance =
      where?.instance === undefined || where.explain === undefined
        ? null
        : explanation(instanceInfo(where.instance), where.explain);
    return {
      status: state as FunctionCallStatus,
      ...{ method, attempt, losses, instance },
      waitsFor: waitsFor(state, attempt, instance),
      phasesMs: {
        queued: Math.max(0, begunMs - spawnedAtMs),
        ...(startedAtMs === undefined ? {} : { running: Math.max(0, (endedAtMs ?? nowMs) - startedAtMs) }),
      },
    };
  }

  async #ask(ask: Partial<GetSpawnedRequest>, options: CallLimits = {}): Promise<SpawnedView> {
    const question = {
      request: { id: this.id, waitMs: 0, explain: false, ...ask },
      of: GetSpawnedRequest,
      reply: SpawnedView,
    };
    const limits = Limits.of(this.#client.clock, `the look at call ${this.id}`, options);
    return await this.#client.ask('GetSpawned', question, limits);
  }

  #late(timeoutMs: number | undefined): HoldfastError {
    const message = `call ${this.id} had not ended within ${timeoutMs ?? 'the time of the call that waits for it'}${timeoutMs === undefined ? '' : ' ms'}; it goes on, get it again`;
    return new HoldfastError('DeadlineExceeded', message, { outcome: 'unknown', details: { limit: 'caller' } });
  }
}

function isUnanswered(error: unknown): boolean {
  return isHoldfastError(error, 'Unavailable') || isHoldfastError(error, 'DeadlineExceeded');
}

function answerOf(state: string, answer: Uint8Array): unknown {
  if (state === 'succeeded') return decodeValue(answer);
  throw decodeError(answer);
}

function waitsFor(state: string, attempt: number, instance: FunctionCallExplanation['instance']): string | null {
  if (state !== 'queued') return null;
  if (instance === null || instance.info.state !== 'active') {
    return `its instance, which is ${instance?.info.state ?? 'gone'}`;
  }
  const { running, pending } = instance.info;
  const why = instance.pool?.whyWaiting ?? null;
  const queue = `a slot: ${running} calls run, ${pending} wait${why === null ? '' : ` (${why})`}`;
  return attempt === 1 ? queue : `${queue}; or the pause before attempt ${attempt}`;
}
