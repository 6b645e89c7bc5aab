import type { Clock, Monotonic, Timer } from './clock.js';
import type { CallContext } from './context.js';
import { HoldfastError } from './errors.js';

/** Single calls of a method are gathered, up to `maxSize` of them, for at most `waitMs` after the first. */
export interface BatchOptions {
  readonly maxSize: number;
  readonly waitMs: number;
}

interface BatcherParts {
  /** `app/Class/id.method`, for messages. */
  readonly label: string;
  readonly options: BatchOptions;
  /** Batches that run at once. */
  readonly mostAtOnce: number;
  readonly clock: Clock;
  /** The user's method. */
  readonly run: (inputs: readonly unknown[], context: CallContext) => unknown;
}

/** One caller's part of a batch. */
interface Single {
  readonly input: unknown;
  readonly context: CallContext;
  readonly at: Monotonic;
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: unknown) => void;
  /** What its signal calls. */
  aborted: () => void;
}

/** Errors of our own: what a method answers is no failure of the user's code that `retries` could mend. */
const ours = new WeakSet<object>();

/**
 * The single calls of one method of one instance, in batches.
 *
 * I1. A batch has at most `maxSize` calls, the oldest that wait; at most `mostAtOnce` batches run.
 * I2. One timer for all that wait: it is that of the oldest.
 * I3. A call that is cancelled before its batch begins is not in it; later it ends with its batch. Others do not notice.
 */
export class Batcher {
  readonly #parts: BatcherParts;
  readonly #waiting: Single[] = [];
  #running = 0;
  #timer: Timer | null = null;

  constructor(parts: BatcherParts) {
    this.#parts = parts;
  }

  /** Resolves with its own part of the answer. @throws what the batch throws, the reason of the context's signal */
  add(input: unknown, context: CallContext): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const at = this.#parts.clock.monotonic();
      const single: Single = { input, context, at, resolve, reject, aborted: () => this.#withdraw(single) };
      if (context.signal.aborted) return reject(context.signal.reason);
      context.signal.addEventListener('abort', single.aborted, { once: true });
      this.#waiting.push(single);
      this.#begin();
    });
  }

  #withdraw(single: Single): void {
    const index = this.#waiting.indexOf(single);
    if (index < 0) return;
    this.#waiting.splice(index, 1);
    single.reject(single.context.signal.reason);
  }

  /** As many batches as may run and are full, or due. */
  #begin(): void {
    const { options, mostAtOnce, clock } = this.#parts;
    for (let oldest = this.#waiting[0]; oldest !== undefined; oldest = this.#waiting[0]) {
      if (this.#running >= mostAtOnce) return;
      const leftMs = oldest.at + options.waitMs - clock.monotonic();
      if (this.#waiting.length < options.maxSize && leftMs > 0) {
        this.#timer ??= clock.after(leftMs, () => this.#due());
        return;
      }
      void this.#run(this.#waiting.splice(0, options.maxSize));
    }
  }

  #due(): void {
    this.#timer = null;
    this.#begin();
  }

  /** Never rejects. */
  async #run(singles: readonly Single[]): Promise<void> {
    this.#running += 1;
    const { label, run } = this.#parts;
    for (const { context, aborted } of singles) context.signal.removeEventListener('abort', aborted);
    const { context, release } = contextOf(singles);
    try {
      const answers = await run(
        singles.map(({ input }) => input),
        context,
      );
      if (!Array.isArray(answers) || answers.length !== singles.length)
        throw wrongAnswers(label, singles.length, answers);
      for (const [index, single] of singles.entries()) single.resolve(answers[index]);
    } catch (thrown) {
      for (const single of singles) single.reject(thrown);
    }
    release();
    this.#running -= 1;
    this.#begin();
  }
}

/** It came from a batcher: its caller gets it as it is. */
export function isBatchError(thrown: unknown): thrown is HoldfastError {
  return typeof thrown === 'object' && thrown !== null && ours.has(thrown);
}

/** Calls of such methods take no slot: how many of all that take none may be there at once. Null: no method gathers. */
export function mostReaders(
  { concurrentRequests, maxPendingTasks }: { readonly concurrentRequests: number; readonly maxPendingTasks: number },
  methods: Iterable<{ readonly batch?: BatchOptions | undefined }>,
): number | null {
  const largest = largestBatch(methods);
  return largest === 0 ? null : concurrentRequests * largest + maxPendingTasks;
}

/** 0: no method gathers. */
export function largestBatch(methods: Iterable<{ readonly batch?: BatchOptions | undefined }>): number {
  let largest = 0;
  for (const { batch } of methods) largest = Math.max(largest, batch?.maxSize ?? 0);
  return largest;
}

/** That of its first call, but with the signal and the time of all: it is aborted when nobody waits any more. */
function contextOf(singles: readonly Single[]): { readonly context: CallContext; readonly release: () => void } {
  const controller = new AbortController();
  let waiting = singles.length;
  const left = (event: Event): void => {
    waiting -= 1;
    if (waiting === 0) controller.abort((event.target as AbortSignal).reason);
  };
  for (const { context } of singles) context.signal.addEventListener('abort', left, { once: true });
  const first = (singles[0] as Single).context;
  const deadlines = singles.map(({ context }) => context.deadline);
  const context: CallContext = {
    appName: first.appName,
    className: first.className,
    instanceId: first.instanceId,
    callId: first.callId,
    attempt: first.attempt,
    epoch: first.epoch,
    restarted: first.restarted,
    signal: controller.signal,
    chain: first.chain,
    traceparent: first.traceparent,
    deadline: deadlines.includes(null) ? null : Math.max(...(deadlines as number[])),
    // Most never ask for them.
    get log() {
      return first.log;
    },
    get storage() {
      return first.storage;
    },
    setAlarm: (at) => first.setAlarm(at),
    getAlarm: () => first.getAlarm(),
    deleteAlarm: () => first.deleteAlarm(),
  };
  const release = (): void => {
    for (const single of singles) single.context.signal.removeEventListener('abort', left);
  };
  return { context, release };
}

function wrongAnswers(label: string, wanted: number, answers: unknown): HoldfastError {
  const got = Array.isArray(answers)
    ? `${answers.length}`
    : `no array but ${answers === null ? 'null' : typeof answers}`;
  const error = new HoldfastError(
    'InvalidArgument',
    `${label} was given a batch of ${wanted} and must answer an array of as many, got ${got}`,
    { outcome: 'ran', details: { wanted, got: Array.isArray(answers) ? answers.length : null } },
  );
  ours.add(error);
  return error;
}
