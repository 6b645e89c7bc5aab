import type { Clock, Monotonic } from '../../common/clock.js';
import { HoldfastError, type Outcome } from '../../common/errors.js';
import type { CommandContext } from './command-context.js';

/** One thing that a command waits for. */
export interface Wait {
  /** Goes on after "while waiting for". */
  readonly what: string;
  /** Of what the command is for, where the waiting is given up. */
  readonly outcome: Outcome;
}

/** The time and the Ctrl-C of a whole command, for steps that take no limit of their own. */
export class TimeLimit {
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  readonly #limitMs: number | null;
  readonly #endAt: Monotonic;

  /** @param limitMs from now on; undefined: as long as it takes */
  constructor(limitMs: number | undefined, { clock, signal }: Pick<CommandContext, 'clock' | 'signal'>) {
    this.#clock = clock;
    this.#signal = signal;
    this.#limitMs = limitMs ?? null;
    this.#endAt = clock.monotonic() + (limitMs ?? 0);
  }

  /** For a step that keeps a limit itself: what is left; nothing where there is no limit. @throws DeadlineExceeded */
  left(wait: Wait): { readonly timeoutMs?: number } {
    if (this.#limitMs === null) return {};
    const timeoutMs = Math.floor(this.#endAt - this.#clock.monotonic());
    if (timeoutMs < 1) throw this.#isOver(wait);
    return { timeoutMs };
  }

  /** What is given up goes on unheard, until the command closes its client. @throws DeadlineExceeded, Cancelled */
  async during<T>(wait: Wait, work: Promise<T>): Promise<T> {
    let release = (): void => undefined;
    const givenUp = new Promise<never>((_, reject) => {
      const stop = (): void => reject(stopped(wait));
      if (this.#signal.aborted) stop();
      else this.#signal.addEventListener('abort', stop, { once: true });
      const leftMs = Math.max(0, this.#endAt - this.#clock.monotonic());
      const timer = this.#limitMs === null ? null : this.#clock.after(leftMs, () => reject(this.#isOver(wait)));
      release = () => {
        this.#signal.removeEventListener('abort', stop);
        timer?.cancel();
      };
    });
    try {
      return await Promise.race([work, givenUp]);
    } finally {
      release();
    }
  }

  #isOver({ what, outcome }: Wait): HoldfastError {
    const message = `the --timeout of ${this.#limitMs} ms was over while waiting for ${what}`;
    return new HoldfastError('DeadlineExceeded', message, { outcome, details: { limitMs: this.#limitMs } });
  }
}

function stopped({ what, outcome }: Wait): HoldfastError {
  return new HoldfastError('Cancelled', `stopped while waiting for ${what}`, { outcome });
}
