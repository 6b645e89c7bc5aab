import type { TimerWheel, WheelEntry } from '../../../common/timer-wheel.js';

/** A sandbox that is starved or stopped for a moment is not gone. */
export const guestSilentMs = 60_000;

/**
 * Notices a guest that says nothing while somebody waits for it: after `guestSilentMs` it is asked, after as long again it is given
 * up. A guest of which nobody wants anything costs no timer.
 */
export class GuestPulse {
  readonly #wheel: TimerWheel;
  readonly #ask: () => void;
  readonly #giveUp: () => void;
  #waiting = 0;
  #wasHeard = false;
  #wasAsked = false;
  #next: WheelEntry | null = null;

  constructor(wheel: TimerWheel, on: { readonly ask: () => void; readonly giveUp: () => void }) {
    this.#wheel = wheel;
    this.#ask = on.ask;
    this.#giveUp = on.giveUp;
  }

  /** Somebody waits. */
  begin(): void {
    this.#waiting += 1;
    if (this.#next === null) this.#arm();
  }

  /** Somebody does not any more. */
  finish(): void {
    this.#waiting -= 1;
  }

  heard(): void {
    this.#wasHeard = true;
  }

  stop(): void {
    if (this.#next !== null) this.#wheel.remove(this.#next);
    this.#next = null;
  }

  #arm(): void {
    this.#wasHeard = false;
    this.#next = this.#wheel.add(guestSilentMs, () => this.#beat());
  }

  #beat(): void {
    this.#next = null;
    const isSilent = this.#waiting > 0 && !this.#wasHeard;
    if (isSilent && this.#wasAsked) return this.#giveUp();
    this.#wasAsked = isSilent;
    if (this.#waiting > 0) this.#arm();
    if (isSilent) this.#ask();
  }
}
