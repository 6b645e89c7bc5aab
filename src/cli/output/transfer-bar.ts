import type { Clock, Monotonic } from '../../common/clock.js';
import { byteText } from './byte-text.js';
import type { Terminal } from './terminal.js';

/** What is moved, and how much of it there is. */
export interface Transfer {
  readonly name: string;
  readonly bytes: number;
}

const redrawMs = 100;
const barWidth = 24;

/** A bar on a terminal, with speed and what is left to wait; elsewhere nothing. */
export class TransferBar {
  readonly #transfer: Transfer;
  readonly #terminal: Terminal;
  readonly #clock: Clock;
  readonly #startedAt: Monotonic;
  #drawnAt: Monotonic = Number.NEGATIVE_INFINITY;
  #moved = 0;

  /** Under the bar; a line says what was moved at the end. */
  static async during<T>(
    transfer: Transfer,
    on: { readonly terminal: Terminal; readonly clock: Clock },
    work: (onProgress: (bytes: number) => void) => Promise<T>,
  ): Promise<T> {
    const bar = new TransferBar(transfer, on);
    try {
      const result = await work((bytes) => bar.moved(bytes));
      bar.finished();
      return result;
    } catch (e) {
      if (on.terminal.isInteractive) on.terminal.redraw('');
      throw e;
    }
  }

  private constructor(transfer: Transfer, on: { readonly terminal: Terminal; readonly clock: Clock }) {
    this.#transfer = transfer;
    this.#terminal = on.terminal;
    this.#clock = on.clock;
    this.#startedAt = on.clock.monotonic();
  }

  moved(bytes: number): void {
    this.#moved = bytes;
    const now = this.#clock.monotonic();
    if (!this.#terminal.isInteractive || now - this.#drawnAt < redrawMs) return;
    this.#drawnAt = now;
    this.#terminal.redraw(this.#line(now));
  }

  finished(): void {
    const { name } = this.#transfer;
    const seconds = Math.max(0.001, (this.#clock.monotonic() - this.#startedAt) / 1_000);
    const speed = byteText(this.#moved / seconds);
    if (this.#terminal.isInteractive) this.#terminal.redraw('');
    this.#terminal.note(`${name}: ${byteText(this.#moved)} in ${seconds.toFixed(1)} s, ${speed}/s`);
  }

  #line(now: Monotonic): string {
    const { name, bytes } = this.#transfer;
    const share = bytes === 0 ? 1 : Math.min(1, this.#moved / bytes);
    const full = Math.round(share * barWidth);
    const bar = `${'█'.repeat(full)}${'░'.repeat(barWidth - full)}`;
    const speed = (this.#moved * 1_000) / Math.max(1, now - this.#startedAt);
    const left = speed > 0 ? Math.ceil((bytes - this.#moved) / speed) : 0;
    const text = `${bar} ${Math.floor(share * 100)}% ${byteText(speed)}/s ${Math.max(0, left)} s`;
    const room = (this.#terminal.columns ?? 80) - text.length - 2;
    return `${name.length > room ? `${name.slice(0, Math.max(0, room - 1))}…` : name} ${text}`;
  }
}
