import { callContextOrNull } from '../../common/context.js';
import { HoldfastError, isHoldfastError } from '../../common/errors.js';
import { type CallId, instanceOfCall } from '../../common/spawned-call.js';
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
import { cancelled, maxMovingMs } from './call-errors.js';
import { type CallLimits, Limits } from './call-limits.js';
import { checkGetOptions } from './call-options.js';
import type { FunctionCallExplanation, FunctionCallStatus, SpawnedAccess } from './function-call.js';

/** The client that asks. */
export type SpawnedHost = Pick<ClientCore, 'ask' | 'isClosed' | 'clock'>;

/** A router answers before that, and is asked again. */
const waitMs = 20_000;

/** A spawned call of the cluster. @throws InvalidArgument, NotFound */
export async function findSpawned(client: SpawnedHost, id: string, options: CallLimits): Promise<SpawnedAccess> {
  if (typeof id !== 'string' || instanceOfCall(id) === null) {
    throw new HoldfastError('InvalidArgument', `the id of a call begins with 'fc-', got ${JSON.stringify(id)}`);
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
    for (let heardAt = clock.monotonic(); ; ) {
      if (signal?.aborted) throw cancelled(`waiting for call ${this.id}`, 'unknown');
      const leftMs = deadline - clock.monotonic();
      if (leftMs <= 0) throw this.#late(options.timeoutMs);
      try {
        const view = await this.#view({ waitMs: Math.ceil(Math.min(waitMs, leftMs)) }, { leftMs, signal });
        if (view?.answer !== undefined) return answerOf(view.state, view.answer);
        heardAt = clock.monotonic();
      } catch (error) {
        // Routers may be away, as long as they come back.
        const isPatient = isHoldfastError(error, 'Unavailable') && clock.monotonic() - heardAt < maxMovingMs;
        if (!isPatient || this.#client.isClosed) throw error;
      }
    }
  }

  async status(options: CallLimits): Promise<FunctionCallStatus> {
    return (await this.#ask({ waitMs: 0 }, options)).state as FunctionCallStatus;
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
    const view = await this.#ask({ waitMs: 0, explain: true }, options);
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

  /** Null: it was given up here, whatever the router says later. */
  async #view(
    ask: { readonly waitMs: number },
    { leftMs, signal }: { readonly leftMs: number; readonly signal: AbortSignal | null },
  ): Promise<SpawnedView | null> {
    const enough = new AbortController();
    const given = AbortSignal.any(signal === null ? [enough.signal] : [enough.signal, signal]);
    const late = this.#client.clock.sleep(Math.min(leftMs, 2 * maxMovingMs), given).then(
      () => null,
      () => null,
    ); // aborted: the caller sees it, or the answer was first
    try {
      return await Promise.race([this.#ask(ask), late]);
    } finally {
      enough.abort();
    }
  }

  #late(timeoutMs: number | undefined): HoldfastError {
    const message = `call ${this.id} had not ended within ${timeoutMs ?? 'the time of the call that waits for it'}${timeoutMs === undefined ? '' : ' ms'}; it goes on, get it again`;
    return new HoldfastError('DeadlineExceeded', message, { outcome: 'unknown', details: { limit: 'caller' } });
  }
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
