import { setMaxListeners } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { App, type Client, isHoldfastError } from 'holdfast';

type ChaosApp = typeof import('./fixtures/ledger-app.js');

/** A call of a client and what it learned of it. Times are ms of `performance.now`. */
export interface Call {
  readonly id: string;
  readonly caller: string;
  readonly instance: string;
  readonly number: number;
  readonly method: 'append' | 'put';
  readonly startedAt: number;
  settledAt: number;
  /** `ok`, or an error's code. */
  result: string;
  outcome: string | null;
}

const pipelined = ['append', 'append', 'put'] as const;
const timeoutMs = 60_000;
const pauseMs = 60;

/** Clients that call all instances, each of them three times at once and again a moment later, until they are stopped. */
export class Load {
  readonly calls: Call[] = [];
  readonly instances: readonly string[];
  readonly #stopping = new AbortController();
  readonly #lanes: Promise<void>[] = [];

  constructor(clients: readonly Client[], instances: readonly string[]) {
    this.instances = instances;
    // Every lane waits with it.
    setMaxListeners(0, this.#stopping.signal);
    for (const [i, client] of clients.entries())
      for (const id of instances) this.#lanes.push(this.#lane({ client, caller: `c${i}`, id }));
  }

  /** Resolves when every client has had an answer from every instance to a call that it began after `since`. */
  async answered(since: number, withinMs: number): Promise<void> {
    const until = performance.now() + withinMs;
    while (this.silent(since).length > 0) {
      if (performance.now() > until)
        throw new Error(
          `no answer within ${withinMs} ms of ${this.silent(since).slice(0, 5).join(', ')}: ${this.#lastErrors()}`,
        );
      await delay(20);
    }
  }

  /** `caller instance` of those without an answer since. */
  silent(since: number): string[] {
    const heard = new Set(this.#answers(since).keys());
    return [...this.#known].filter((lane) => !heard.has(lane));
  }

  /** How long each lane was without an answer to a call that began after `since`, ms, shortest first. */
  recoveries(since: number): number[] {
    return [...this.#answers(since).values()].map((at) => at - since).sort((a, b) => a - b);
  }

  /** One more, which is judged with the others; never rejects. Gives what became of it. */
  async call(
    what: Pick<Call, 'caller' | 'instance' | 'number' | 'method'>,
    send: (id: string) => Promise<unknown>,
  ): Promise<Call> {
    const call: Call = {
      ...{ ...what, id: `${what.caller}/${what.instance}/${what.number}` },
      ...{ startedAt: performance.now(), settledAt: 0, result: '', outcome: null },
    };
    this.calls.push(call);
    await settle(call, send(call.id));
    return call;
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#lanes);
  }

  readonly #known = new Set<string>();

  #answers(since: number): Map<string, number> {
    const first = new Map<string, number>();
    for (let i = this.calls.length - 1; i >= 0; i--) {
      const { caller, instance, startedAt, settledAt, result } = this.calls[i] as Call;
      if (startedAt < since) break;
      const lane = `${caller} ${instance}`;
      if (result === 'ok' && this.#known.has(lane)) first.set(lane, Math.min(first.get(lane) ?? Infinity, settledAt));
    }
    return first;
  }

  #lastErrors(): string {
    const errors = this.calls.filter(({ result }) => result !== 'ok' && result !== '').slice(-5);
    return errors.map(({ instance, result, outcome }) => `${instance} ${result} (${outcome})`).join(', ');
  }

  async #lane({ client, caller, id }: { readonly client: Client; readonly caller: string; readonly id: string }) {
    this.#known.add(`${caller} ${id}`);
    const { signal } = this.#stopping;
    const remote = await App.lookup<ChaosApp>('chaos', { client });
    const ledger = await remote.Ledger.named(id);
    for (let number = 1; !signal.aborted; ) {
      const calls = pipelined.map((method) =>
        this.call({ caller, instance: id, number: number++, method }, (callId) =>
          ledger[method].with({ timeoutMs })(callId),
        ),
      );
      await Promise.all(calls);
      await delay(pauseMs, undefined, { signal }).catch(() => undefined); // stopped: the condition sees it
    }
  }
}

async function settle(call: Call, answer: Promise<unknown>): Promise<void> {
  try {
    await answer;
    call.result = 'ok';
  } catch (error) {
    call.result = isHoldfastError(error) ? error.code : String(error);
    call.outcome = isHoldfastError(error) ? error.outcome : 'unknown';
  }
  call.settledAt = performance.now();
}
