import { inspect } from 'node:util';
import { checkOptions } from '../../common/check-options.js';
import type { SpawnedState } from '../../common/spawned-call.js';
import { type CallChoice, chosen } from '../client-choice.js';
import type { Explanation } from '../infos.js';
import { localSpawned } from '../local/local-spawned.js';
import { type CallLimits, limitChecks } from './call-limits.js';
import { findSpawned } from './remote-spawned.js';

/** What a spawned call has come to; `lost`: it had begun when its worker was lost, and is not `idempotent`. */
export type FunctionCallStatus = SpawnedState;

/** Where a spawned call is, or was, and what it has cost. */
export interface FunctionCallExplanation {
  readonly status: FunctionCallStatus;
  readonly method: string;
  /** 1 and up: what the class's `retries` have made of it. */
  readonly attempt: number;
  /** How often its worker was lost, and it was put back. */
  readonly losses: number;
  /** What it waits for now; null: for nothing. */
  readonly waitsFor: string | null;
  /** `queued` until its last attempt began, `running` since then. */
  readonly phasesMs: Readonly<Record<string, number>>;
  /** Null: its instance was closed. */
  readonly instance: Explanation | null;
}

/** What a spawned call is asked for, wherever it runs. */
export interface SpawnedAccess {
  readonly id: string;
  get(options: { readonly timeoutMs?: number; readonly signal?: AbortSignal }): Promise<unknown>;
  status(options: CallLimits): Promise<FunctionCallStatus>;
  cancel(options: CallLimits): Promise<'never-ran' | 'aborted' | 'already-finished'>;
  explain(options: CallLimits): Promise<FunctionCallExplanation>;
}

/** A call that was spawned, here or elsewhere: its id is all that is needed to find it again. */
export class FunctionCall<R = unknown> {
  readonly id: string;
  readonly #access: SpawnedAccess;

  /** @internal */
  constructor(access: SpawnedAccess) {
    this.id = access.id;
    this.#access = access;
  }

  /** One that any program of this account has spawned. @throws InvalidArgument, NotFound 24 h after its end */
  static async fromId<R = unknown>(id: string, options: CallChoice = {}): Promise<FunctionCall<R>> {
    const local = localSpawned(id);
    if (local !== null) return new FunctionCall<R>(local);
    const { client } = chosen(`the look-up of call ${id}`, options);
    const { signal, timeoutMs } = options;
    return new FunctionCall<R>(await findSpawned(client, id, { signal, timeoutMs }));
  }

  /**
   * Its result, once it has one; it goes on when nobody waits.
   * @throws what it has failed with, OutcomeUnknown when it was lost, DeadlineExceeded after `timeoutMs`, Cancelled
   */
  async get(options: { readonly timeoutMs?: number; readonly signal?: AbortSignal } = {}): Promise<R> {
    return (await this.#access.get(options)) as R;
  }

  /** @throws NotFound 24 h after its end */
  async status(options: CallLimits = {}): Promise<FunctionCallStatus> {
    checkOptions('status', options, limitChecks);
    return await this.#access.status(options);
  }

  /** One that waits never runs; of one that runs the signal is aborted. Idempotent. */
  async cancel(options: CallLimits = {}): Promise<'never-ran' | 'aborted' | 'already-finished'> {
    checkOptions('cancel', options, limitChecks);
    return await this.#access.cancel(options);
  }

  /** Why it is where it is: what it waits for, its attempts, its instance. */
  async explain(options: CallLimits = {}): Promise<FunctionCallExplanation> {
    checkOptions('explain', options, limitChecks);
    return await this.#access.explain(options);
  }

  [inspect.custom](): string {
    return `FunctionCall ${this.id}`;
  }
}
