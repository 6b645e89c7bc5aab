/** Deploys once at first and again after changes, one at a time; changes during a deployment cause one more. */
export class DeployLoop {
  /** File that changed; null: the first time. Undefined: nothing to do. */
  #wanted: string | null | undefined = null;
  #wake: (() => void) | null = null;

  want(file: string): void {
    this.#wanted = file;
    this.#wake?.();
  }

  /** Until the signal. */
  async run(signal: AbortSignal, deploy: (changed: string | null) => Promise<void>): Promise<void> {
    while (!signal.aborted) {
      const changed = this.#wanted;
      this.#wanted = undefined;
      if (changed === undefined) await this.#sleep(signal);
      else await deploy(changed);
    }
  }

  async #sleep(signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
    this.#wake = null;
  }
}
