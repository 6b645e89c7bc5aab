import { type AlarmCall, App, alarm, Cls, currentContext, enter, exit, method } from '../../../src/sdk/index.js';
import type { Activation, Run } from '../history/records.js';
import { clientInside, outside } from './inside.js';

export const app = new App('sim');

export interface Receipt {
  readonly operation: string;
  readonly epoch: number;
  readonly size: number;
  /** Of `keep`. */
  readonly count?: number;
}

/** What a call shall do; all of it is in its arguments, so that the plan decides. */
export interface Work {
  readonly operation: string;
  readonly workMs: number;
  /** Goes on when its signal aborts. */
  readonly isDeaf: boolean;
  readonly resultBytes: number;
}

export interface Limits {
  readonly concurrentRequests: number;
  readonly maxPendingTasks: number;
}

/** The key of what `keep` keeps. */
export function keptAs(operation: string): string {
  return `kept:${operation}`;
}

function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return outside().timeline.current.clock.sleep(ms, signal);
}

/** For longer than any code has time. @param signal none: it does not listen */
function hang(signal?: AbortSignal): Promise<void> {
  return sleep(60_000, signal);
}

/** Notes all that happens to it, and writes outside what it is told to. */
export abstract class Recorder {
  abstract readonly limits: Limits;
  /** Of all containers together; null: it is no pool. */
  readonly poolLimit: number | null = null;
  readonly #activation: Activation;

  constructor() {
    const { className, instanceId, epoch } = currentContext();
    const { timeline, history } = outside();
    this.#activation = history.activated(timeline.current, `${className}/${instanceId}`, epoch);
  }

  @enter()
  protected async begin(): Promise<void> {
    const { trouble, timeline } = outside();
    const { random } = timeline.current;
    const { signal } = currentContext();
    try {
      if (random.chance(trouble.hangs)) await hang(random.chance(0.5) ? signal : undefined);
      await sleep(random.skewed(0.1, 200), signal);
      if (random.chance(trouble.throws)) throw new Error('the enter hook throws');
      this.#activation.enteredAt = timeline.now;
    } catch (error) {
      outside().history.ended(this.#activation);
      throw error;
    }
  }

  /** At most once. */
  @method()
  async append(work: Work, _bytes?: Uint8Array): Promise<Receipt> {
    return await this.#run(work);
  }

  @method({ idempotent: true })
  async put(work: Work, _bytes?: Uint8Array): Promise<Receipt> {
    return await this.#run(work);
  }

  /** At most once, and done in no time: where such calls wait they are sent ahead. Nothing is written outside. */
  @method()
  async tick({ operation, workMs, resultBytes }: Work): Promise<Receipt> {
    const run = this.#begin(operation);
    const { timeline, trouble } = outside();
    try {
      if (timeline.current.random.chance(trouble.crashes)) timeline.current.kill();
      if (workMs > 0) await sleep(workMs, currentContext().signal);
      return this.#receipt(operation, resultBytes);
    } finally {
      outside().history.stopped(run);
    }
  }

  /** At most once: counts in the durable state of the instance, and does not wait until that is stored. */
  @method()
  async keep({ operation, workMs, isDeaf, resultBytes }: Work): Promise<Receipt> {
    const run = this.#begin(operation);
    const { signal, storage } = currentContext();
    try {
      const count = ((await storage.get<number>('count')) ?? 0) + 1;
      await sleep(workMs, isDeaf ? undefined : signal);
      void storage.put('count', count);
      void storage.put(keptAs(operation), count);
      return { ...this.#receipt(operation, resultBytes), count };
    } finally {
      outside().history.stopped(run);
    }
  }

  /** At most once: sets the alarm, and does not wait until that is stored. */
  @method()
  async arm({ operation, workMs, resultBytes }: Work): Promise<Receipt> {
    const run = this.#begin(operation);
    const { history, timeline } = outside();
    try {
      const atMs = timeline.current.clock.now() + workMs;
      history.armed(run, atMs);
      void currentContext().setAlarm(atMs);
      return this.#receipt(operation, resultBytes);
    } finally {
      history.stopped(run);
    }
  }

  @alarm()
  protected async ring({ scheduledAt, attempt }: AlarmCall): Promise<void> {
    const run = this.#begin(`alarm ${scheduledAt.getTime()}.${attempt} of ${this.#activation.instance}`);
    const { history, timeline, trouble } = outside();
    try {
      await sleep(timeline.current.random.skewed(0.1, 3_000));
      if (timeline.current.random.chance(trouble.crashes * 10)) timeline.current.kill();
      if (timeline.current.random.chance(trouble.throws)) throw new Error('the alarm throws');
      history.rang(this.#activation.instance, scheduledAt.getTime());
    } finally {
      history.stopped(run);
    }
  }

  /** With an idempotency key. */
  @method()
  async once(work: Work, key: string): Promise<Receipt> {
    const before = outside().history.keyRan(this.#activation, key, work.operation);
    if (before !== null)
      outside().history.break('keys', `${work.operation} runs with the key of ${before} in one activation`);
    return await this.#run(work);
  }

  @method({ concurrent: true, idempotent: true })
  async look(work: Work): Promise<Receipt> {
    return await this.#run(work, { isReader: true });
  }

  @method()
  async *count(work: Work, items: number): AsyncGenerator<number> {
    const run = this.#begin(work.operation);
    try {
      for (let item = 0; item < items; item += 1) {
        await sleep(work.workMs / items);
        yield item;
      }
    } finally {
      outside().history.stopped(run);
    }
  }

  /** Calls another instance, or itself. */
  @method()
  async relay(
    work: Work,
    to: { readonly className: string; readonly id: string; readonly inner: Work },
  ): Promise<Receipt> {
    const run = this.#begin(work.operation);
    try {
      await sleep(work.workMs);
      const cls = await Cls.fromName(app.name, to.className, { client: clientInside() });
      const other = await cls.named(to.id);
      return (await other.method('append')(to.inner)) as Receipt;
    } finally {
      outside().history.stopped(run);
    }
  }

  @exit()
  protected async end(): Promise<void> {
    const activation = this.#activation;
    const { history, timeline, trouble } = outside();
    activation.exits += 1;
    const { instance, epoch } = activation;
    if (activation.exits > 1) history.break('hooks', `exit of ${instance} runs twice at epoch ${epoch}`);
    if (activation.enteredAt === null)
      history.break('hooks', `exit of ${instance} runs before enter at epoch ${epoch}`);
    if (activation.running.size > 0) history.break('hooks', `exit of ${instance} runs beside calls at epoch ${epoch}`);
    try {
      const { random } = timeline.current;
      if (random.chance(trouble.hangs)) await hang();
      await sleep(random.skewed(0.1, 300));
    } finally {
      history.ended(activation);
    }
  }

  async #run(work: Work, { isReader = false } = {}): Promise<Receipt> {
    const { operation, workMs, isDeaf, resultBytes } = work;
    const { signal } = currentContext();
    const { register, history, timeline } = outside();
    const { instance, epoch } = this.#activation;
    const run = this.#begin(operation, isReader);
    try {
      await sleep(workMs, isDeaf ? undefined : signal);
      if (!isReader) {
        const answer = await register.write(timeline.current, { instance, epoch, operation }, isDeaf ? never : signal);
        if (answer === 'refused') throw new Error(`epoch ${epoch} of ${instance} is over`);
        run.hasCommitted = true;
      }
      return this.#receipt(operation, resultBytes);
    } finally {
      history.stopped(run);
    }
  }

  #receipt(operation: string, size: number): Receipt {
    const { epoch } = this.#activation;
    return { operation, epoch, size, ...(size > 0 ? { bytes: new Uint8Array(size) } : {}) };
  }

  #begin(operation: string, isReader = false): Run {
    const { history } = outside();
    const activation = this.#activation;
    const { instance, epoch } = activation;
    const run = history.ran(activation, operation);
    if (activation.enteredAt === null)
      history.break('hooks', `${operation} runs before enter of ${instance} at ${epoch}`);
    if (activation.exits > 0) history.break('hooks', `${operation} runs after exit of ${instance} at ${epoch}`);
    const { concurrentRequests, maxPendingTasks } = this.limits;
    const limit = isReader ? 2 * (concurrentRequests + maxPendingTasks) : concurrentRequests;
    const running = isReader ? activation.running.size : this.#writers(activation);
    if (running > limit) history.break('limits', `${running} calls run at once in ${instance}, the limit is ${limit}`);
    if (!isReader && this.poolLimit !== null) this.#checkPool(this.poolLimit);
    return run;
  }

  /** P2: of all its containers together. */
  #checkPool(limit: number): void {
    const { history } = outside();
    const { instance, epoch } = this.#activation;
    const members = history.activations.filter(
      (each) => each.instance === instance && each.epoch === epoch && each.endedAt === null && !each.wasUnguarded,
    );
    const running = members.reduce((sum, member) => sum + this.#writers(member), 0);
    if (running > limit)
      history.break('limits', `${running} calls run at once in the pool ${instance}, the limit is ${limit}`);
  }

  #writers(activation: Activation): number {
    let count = 0;
    for (const { operation } of activation.running) {
      if (outside().history.operations.get(operation)?.method !== 'look') count += 1;
    }
    return count;
  }
}

const never = new AbortController().signal;
