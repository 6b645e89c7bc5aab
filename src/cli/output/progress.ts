import type { Clock } from '../../common/clock.js';
import type { Terminal } from './terminal.js';

const frames = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const frameMs = 80;

/** Runs `work` under a turning line on a terminal; elsewhere, and when it fails, prints nothing. */
export async function withProgress<T>(
  text: string,
  on: { readonly terminal: Terminal; readonly clock: Clock },
  work: () => Promise<T>,
): Promise<T> {
  const { terminal, clock } = on;
  if (!terminal.isInteractive) return work();
  const done = new AbortController();
  const turning = turn(oneLine(text, terminal.columns ?? 80), { terminal, clock, signal: done.signal });
  try {
    return await work();
  } finally {
    done.abort();
    await turning;
    terminal.redraw('');
  }
}

/** A longer one would wrap, and only its last row be replaced. */
function oneLine(text: string, columns: number): string {
  const room = columns - 3;
  return text.length > room ? `${text.slice(0, room - 1)}…` : text;
}

async function turn(
  text: string,
  on: { readonly terminal: Terminal; readonly clock: Clock; readonly signal: AbortSignal },
): Promise<void> {
  for (let frame = 0; !on.signal.aborted; frame++) {
    on.terminal.redraw(`${on.terminal.paintNote('cyan', frames[frame % frames.length] ?? '')} ${text}`);
    await on.clock.sleep(frameMs, on.signal).catch(() => undefined); // Aborted: the loop ends.
  }
}
