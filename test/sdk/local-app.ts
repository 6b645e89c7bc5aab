import {
  type AlarmCall,
  App,
  alarm,
  type ClassInstance,
  currentContext,
  enter,
  exit,
  method,
} from '../../src/sdk/index.js';

const app = new App('local');

/** Opened by the test: methods wait for it. */
class Gate {
  #open!: () => void;
  readonly opened = new Promise<void>((resolve) => {
    this.#open = resolve;
  });
  open(): void {
    this.#open();
  }
}

export const gates = new Map<string, Gate>();
export const seen: string[] = [];

export function gate(name: string): Gate {
  const known = gates.get(name) ?? new Gate();
  gates.set(name, known);
  return known;
}

@app.cls({ maxPendingTasks: 3, exitTimeoutMs: 5_000, timeoutMs: 60_000 })
export class Worker {
  readonly #prefix: string;
  #most = 0;
  #now = 0;

  constructor(prefix = 'p:') {
    this.#prefix = prefix;
  }

  @enter()
  protected open(): void {
    seen.push(`enter ${currentContext().instanceId.startsWith('local-')}`);
  }

  @exit()
  protected close(reason: string): void {
    seen.push(`exit ${reason}`);
  }

  @method()
  async hold(name: string): Promise<string> {
    this.#now += 1;
    this.#most = Math.max(this.#most, this.#now);
    seen.push(`run ${name}`);
    await gate(name).opened;
    this.#now -= 1;
    return this.#prefix + name;
  }

  @method({ concurrent: true })
  most(): number {
    return this.#most;
  }

  @method()
  echo(value: unknown): unknown {
    return value;
  }

  @method()
  async keep(key: string, value: unknown): Promise<unknown[]> {
    const { storage } = currentContext();
    void storage.put(key, value);
    return [await storage.get(key), [...(await storage.list({ reverse: true })).keys()]];
  }

  /** Rings twice, as it fails the first time. */
  @method()
  async arm(at: Date): Promise<Date | null> {
    await currentContext().setAlarm(at);
    return currentContext().getAlarm();
  }

  @alarm()
  protected ring({ scheduledAt, attempt }: AlarmCall): void {
    seen.push(`ring ${scheduledAt.getTime()} ${attempt} ${currentContext().callId !== null}`);
    if (attempt === 1) throw new Error('not yet');
  }

  @method()
  fail(): never {
    throw Object.assign(new RangeError('bad'), { code: 'E1', field: { a: 1 } });
  }

  @method()
  unsendable(): unknown {
    return { deep: [() => 1] };
  }

  @method()
  async untilAborted(): Promise<string> {
    const { signal } = currentContext();
    seen.push('waits');
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
    seen.push('aborted');
    return 'late';
  }

  @method()
  async *count(to: number): AsyncGenerator<number> {
    try {
      for (let i = 0; i < to; i += 1) yield i;
    } finally {
      seen.push('generator ended');
    }
  }

  @method()
  async callBack(other: string): Promise<unknown> {
    const target = instances.get(other);
    if (target === undefined) throw new Error('no such instance');
    return await target.echo('again');
  }

  @method()
  context(): unknown {
    const { appName, className, attempt, epoch, restarted, callId } = currentContext();
    return { appName, className, attempt, epoch, restarted, hasCallId: callId !== null };
  }
}

@app.cls({ retries: { maxRetries: 2, initialDelayMs: 1 } })
export class Flaky {
  #tries = 0;

  @method()
  third(): number {
    this.#tries += 1;
    if (this.#tries < 3) throw new Error(`try ${this.#tries}`);
    return currentContext().attempt;
  }

  @method()
  final(): never {
    this.#tries += 1;
    throw Object.assign(new Error(`try ${this.#tries}`), { nonRetryable: true });
  }
}

@app.cls()
export class Broken {
  @enter()
  protected open(): never {
    throw new TypeError('no model');
  }
}

@app.cls()
export class Hiding {
  @method()
  shown(): number {
    return 1;
  }

  @method()
  hide(): void {
    Object.assign(this, { shown: 2 });
  }
}

export const instances = new Map<string, ClassInstance<typeof Worker>>();
