import { LRUCache } from 'lru-cache';
import { HoldfastError, isHoldfastError } from '../../common/errors.js';
import { keptCallMs } from '../../common/spawned-call.js';
import type { CallLimits } from '../calls/call-limits.js';
import { checkGetOptions } from '../calls/call-options.js';
import type { FunctionCallExplanation, FunctionCallStatus, SpawnedAccess } from '../calls/function-call.js';
import { unlessStopped } from './unless-stopped.js';

const kept = 10_000;
/** Of this process: those of instances in it are known nowhere else. */
const calls = new LRUCache<string, LocalSpawned>({ max: kept, ttl: keptCallMs });

/** A spawned call of an instance in this process; null: it is none, or was forgotten. */
export function localSpawned(id: string): LocalSpawned | null {
  return calls.get(id) ?? null;
}

/** What a call in this process tells of itself. */
export interface LocalProgress {
  isRunning: boolean;
  attempt: number;
  onAdmitted: () => void;
}

export class LocalSpawned implements SpawnedAccess {
  readonly id: string;
  /** Resolves when it has its place in the queue. @throws (rejects) why it has none */
  readonly admitted: Promise<void>;
  readonly #method: string;
  readonly #answer: Promise<unknown>;
  readonly #progress: LocalProgress;
  readonly #controller: AbortController;
  #ended: FunctionCallStatus | null = null;

  constructor(
    id: string,
    of: {
      readonly method: string;
      readonly answer: Promise<unknown>;
      readonly progress: LocalProgress;
      readonly controller: AbortController;
      readonly admitted: Promise<void>;
    },
  ) {
    this.id = id;
    this.admitted = of.admitted;
    this.#method = of.method;
    this.#answer = of.answer;
    this.#progress = of.progress;
    this.#controller = of.controller;
    calls.set(id, this);
    // One that was refused is none, and whoever asks with its key again asks anew.
    this.admitted.catch(() => {
      if (calls.get(id) === this) calls.delete(id);
    });
    this.#answer.then(
      () => {
        this.#ended = 'succeeded';
      },
      (error: unknown) => {
        this.#ended = isHoldfastError(error, 'Cancelled') ? 'cancelled' : 'failed';
      },
    );
  }

  async get(options: { readonly timeoutMs?: number; readonly signal?: AbortSignal }): Promise<unknown> {
    checkGetOptions(options);
    return await unlessStopped(this.#answer, options, `call ${this.id}`);
  }

  async status(): Promise<FunctionCallStatus> {
    return this.#ended ?? (this.#progress.isRunning ? 'running' : 'queued');
  }

  async cancel(options: CallLimits): Promise<'never-ran' | 'aborted' | 'already-finished'> {
    if (this.#ended !== null) return 'already-finished';
    const hasRun = this.#progress.isRunning || this.#progress.attempt > 1;
    this.#controller.abort(new HoldfastError('Cancelled', `call ${this.id} was cancelled`));
    const ended = this.#answer.catch(() => undefined); // that is for who gets it
    await unlessStopped(ended, options, `the end of call ${this.id}`);
    return hasRun ? 'aborted' : 'never-ran';
  }

  async explain(): Promise<FunctionCallExplanation> {
    const status = await this.status();
    const waitsFor = status === 'queued' ? 'a slot' : null;
    const { attempt } = this.#progress;
    return { status, method: this.#method, attempt, losses: 0, waitsFor, phasesMs: {}, instance: null };
  }
}
