const slotUs = 20;
const slotCount = 128;

/**
 * Pauses of 0 to `maxMs` ms, drawn evenly, to the 20 µs: timers of Node wake all callers of one millisecond together, which
 * is the very lockstep that a pause should break. It polls instead, and so keeps its process busy.
 */
export class ThinkTime {
  readonly #maxUs: number;
  readonly #slots: (() => void)[][] = Array.from({ length: slotCount }, () => []);
  #thinking = 0;
  #atSlot = 0;
  readonly #look = (): void => this.#wakeDue();

  constructor(maxMs: number) {
    this.#maxUs = maxMs * 1_000;
    if (this.#maxUs / slotUs >= slotCount - 1) throw new Error(`a think time of ${maxMs} ms is too long to poll for`);
  }

  pause(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#thinking === 0) {
        this.#atSlot = slotNow();
        setImmediate(this.#look);
      }
      this.#thinking += 1;
      const due = Math.max(this.#atSlot, slotNow()) + 1 + Math.floor((Math.random() * this.#maxUs) / slotUs);
      this.#slots[due % slotCount]?.push(resolve);
    });
  }

  #wakeDue(): void {
    // After a stall of more than one turn of the wheel, one turn wakes everybody.
    const now = Math.min(slotNow(), this.#atSlot + slotCount);
    while (this.#atSlot < now) {
      this.#atSlot += 1;
      const due = this.#slots[this.#atSlot % slotCount]?.splice(0) ?? [];
      this.#thinking -= due.length;
      for (const resolve of due) resolve();
    }
    this.#atSlot = Math.max(this.#atSlot, slotNow());
    if (this.#thinking > 0) setImmediate(this.#look);
  }
}

function slotNow(): number {
  return Math.floor((performance.now() * 1_000) / slotUs);
}
