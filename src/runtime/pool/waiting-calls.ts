import type { WorkerCall } from '../calls/worker-call.js';

/** Behind this many that have left, the rest moves up. */
const mostLeft = 1_024;

/** Calls in the order in which they came, of which the first leaves, or any that is withdrawn. */
export class WaitingCalls {
  #calls: WorkerCall[] = [];
  #first = 0;

  get size(): number {
    return this.#calls.length - this.#first;
  }

  get first(): WorkerCall | null {
    return this.#calls[this.#first] ?? null;
  }

  push(call: WorkerCall): void {
    this.#calls.push(call);
  }

  shift(): void {
    if (this.size === 0) return;
    this.#first += 1;
    if (this.#first < mostLeft && this.size > 0) return;
    this.#calls = this.#calls.slice(this.#first);
    this.#first = 0;
  }

  /** False: it is not here. */
  withdraw(call: WorkerCall): boolean {
    const index = this.#calls.indexOf(call, this.#first);
    if (index < 0) return false;
    this.#calls.splice(index, 1);
    return true;
  }

  takeAll(): WorkerCall[] {
    const calls = this.#calls.slice(this.#first);
    this.#calls = [];
    this.#first = 0;
    return calls;
  }
}
