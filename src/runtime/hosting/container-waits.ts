import type { DeactivatedBody } from '../../wire/frames/frames.js';

interface Waiter {
  resolve(): void;
  reject(error: unknown): void;
}

/** Who waits for what a container says of its class, and by slot of the hooks of its instances. */
export class ContainerWaits {
  #loading: Waiter | null = null;
  readonly #entering = new Map<number, Waiter>();
  readonly #exiting = new Map<number, (report: DeactivatedBody) => void>();

  load(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#loading = { resolve, reject };
    });
  }

  enter(slot: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#entering.set(slot, { resolve, reject });
    });
  }

  /** Nobody hears of its `enter` any more. @param left called with the report, before anybody else hears of it */
  exit(slot: number, left: () => void): Promise<DeactivatedBody> {
    this.#entering.delete(slot);
    return new Promise((resolve) => {
      this.#exiting.set(slot, (report) => {
        this.#exiting.delete(slot);
        left();
        resolve(report);
      });
    });
  }

  /** What it said, once; undefined where nobody waits for it. */
  loaded(): Waiter | undefined {
    const waiter = this.#loading ?? undefined;
    this.#loading = null;
    return waiter;
  }

  entered(slot: number): Waiter | undefined {
    const waiter = this.#entering.get(slot);
    this.#entering.delete(slot);
    return waiter;
  }

  exited(slot: number, report: DeactivatedBody): void {
    this.#exiting.get(slot)?.(report);
  }

  /** It is dead. @param error what those are told that wait for it to start */
  died(error: unknown): void {
    this.loaded()?.reject(error);
    for (const waiter of this.#entering.values()) waiter.reject(error);
    this.#entering.clear();
    for (const done of [...this.#exiting.values()]) done({ exitHook: 'skipped' });
  }
}
