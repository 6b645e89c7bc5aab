import type { Pin } from '../../common/pin.js';

const fastestMs = 20;
const slowestMs = 500;

/** How long to wait before the next look at a pin: longer each time, short again when it has changed. */
export class Pace {
  #delayMs = fastestMs;
  #seen = '';

  saw(pin: Pin | null): void {
    const seen = pin === null ? '' : `${pin.generation} ${pin.epoch} ${pin.state}`;
    if (seen !== this.#seen) this.#delayMs = fastestMs;
    this.#seen = seen;
  }

  nextMs(): number {
    const delayMs = this.#delayMs;
    this.#delayMs = Math.min(delayMs * 2, slowestMs);
    return delayMs;
  }
}
