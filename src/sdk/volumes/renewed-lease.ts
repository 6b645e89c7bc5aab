import type { Timer } from '../../common/clock.js';
import type { ClientCore } from '../sessions/client-core.js';

const renewalsPerLife = 3;

/** Renews what lives for as long as this client does, by a timer that lets the process end. */
export class RenewedLease {
  readonly #core: ClientCore;
  readonly #ttlMs: number;
  readonly #extend: () => Promise<boolean>;
  #renewing: Timer | null = null;

  /** @param extend false: it is gone */
  constructor(core: ClientCore, ttlMs: number, extend: () => Promise<boolean>) {
    this.#core = core;
    this.#ttlMs = ttlMs;
    this.#extend = extend;
    this.#renewLater();
  }

  end(): void {
    this.#renewing?.cancel();
    this.#renewing = null;
  }

  #renewLater(): void {
    this.#renewing = this.#core.clock.after(this.#ttlMs / renewalsPerLife, () => void this.#renew());
  }

  async #renew(): Promise<void> {
    const timer = this.#renewing;
    const isGone = await this.#extend().then(
      (extended) => !extended,
      () => this.#core.isClosed, // While no router answers: the next time one may.
    );
    // It was ended meanwhile, or somebody has deleted it.
    if (this.#renewing === timer && !isGone) this.#renewLater();
  }
}
