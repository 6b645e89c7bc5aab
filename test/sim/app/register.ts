import type { SimProcess } from '../engine/sim-process.js';
import type { History } from '../history/history.js';
import type { Network } from '../net/network.js';

const askAgainMs = 700;

/** A system outside that takes the epoch as its token (S9): it refuses a write of an older one than it has seen. */
export class Register {
  readonly #process: SimProcess;
  readonly #network: Network;
  readonly #history: History;
  readonly #newest = new Map<string, number>();
  readonly #done = new Set<string>();

  constructor(process: SimProcess, network: Network, history: History) {
    this.#process = process;
    this.#network = network;
    this.#history = history;
  }

  /** Until it is known whether it was taken. @throws the signal's reason */
  async write(
    from: SimProcess,
    what: { readonly instance: string; readonly epoch: number; readonly operation: string },
    signal: AbortSignal,
  ): Promise<'taken' | 'refused'> {
    for (;;) {
      signal.throwIfAborted();
      const answer = await this.#ask(from, what);
      if (answer !== 'lost') return answer;
    }
  }

  #ask(from: SimProcess, what: Parameters<Register['write']>[1]): Promise<'taken' | 'refused' | 'lost'> {
    const network = this.#network;
    const to = this.#process;
    return new Promise((resolve) => {
      const timer = from.clock.after(askAgainMs, () => resolve('lost'));
      if (network.isLost(from.host, to.host)) return;
      to.in(network.latencyMs(from.host, to.host), () => {
        const answer = this.#take(what);
        if (network.isLost(to.host, from.host)) return;
        from.in(network.latencyMs(to.host, from.host), () => {
          timer.cancel();
          resolve(answer);
        });
      });
    });
  }

  #take(what: Parameters<Register['write']>[1]): 'taken' | 'refused' {
    const { instance, epoch, operation } = what;
    const name = `${operation}@${epoch}`;
    if (this.#done.has(name)) return 'taken';
    if (epoch < (this.#newest.get(instance) ?? 0)) return 'refused';
    this.#newest.set(instance, epoch);
    this.#done.add(name);
    this.#history.committed({ ...what, at: this.#network.timeline.now });
    return 'taken';
  }
}
