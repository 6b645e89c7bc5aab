import type { LogLine } from '../../wire/gen/holdfast/v1/router.js';

const maxLines = 10_000;

/** Lines on their way to one reader; the oldest are dropped where it is too slow, and it is told so. */
export class LogQueue {
  #lines: LogLine[] = [];
  #dropped = 0;
  #wake: (() => void) | null = null;

  add(line: LogLine): void {
    if (this.#lines.length === maxLines) {
      // Half at once: one at a time would copy the whole queue for every line.
      this.#lines = this.#lines.slice(maxLines / 2);
      this.#dropped += maxLines / 2;
    }
    this.#lines.push(line);
    this.#wake?.();
  }

  /** Resolves when there are lines, or at the signal. */
  filled(signal: AbortSignal): Promise<void> {
    if (this.#lines.length > 0 || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = () => {
        this.#wake = null;
        signal.removeEventListener('abort', wake);
        resolve();
      };
      this.#wake = wake;
      signal.addEventListener('abort', wake, { once: true });
    });
  }

  takeAll(): LogLine[] {
    const lines = this.#lines;
    const dropped = this.#dropped;
    this.#lines = [];
    this.#dropped = 0;
    const [first] = lines;
    return dropped > 0 && first !== undefined ? [droppedLine(dropped, first), ...lines] : lines;
  }
}

function droppedLine(dropped: number, next: LogLine): LogLine {
  const message = `${dropped} log lines were dropped: the reader is slower than they come`;
  return { ...next, id: '', callId: '', level: 'warn', message, fieldsJson: '', source: 'router' };
}
