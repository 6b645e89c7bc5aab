import { isHoldfastError } from '../../common/errors.js';
import { PieceWindow, pieceBytes } from './piece-window.js';
import type { SessionCalls } from './session-calls.js';

/**
 * Writes a source to a process and closes its stdin behind it; the process closes it where the source fails.
 *
 * @throws what the source threw
 */
export async function feedStdin(
  calls: SessionCalls,
  { pid, source }: { readonly pid: number; readonly source: AsyncIterable<Uint8Array> },
  signal?: AbortSignal,
): Promise<void> {
  const window = new PieceWindow((bytes) => calls.call('stdin', [pid, bytes]));
  const sent = async (bytes: Uint8Array): Promise<boolean> => {
    try {
      await window.write(bytes);
      return true;
    } catch (e) {
      // It has ended: nobody reads the rest.
      if (isHoldfastError(e)) return false;
      throw e;
    }
  };
  const pieces = source[Symbol.asyncIterator]();
  try {
    for (;;) {
      const step = await nextUnless(pieces, signal);
      if (step === null || step.done) return;
      for (let at = 0; at < step.value.length; at += pieceBytes) {
        if (!(await sent(step.value.subarray(at, at + pieceBytes)))) return;
      }
    }
  } finally {
    // Nobody waits for a source that has nothing to say.
    void pieces.return?.().catch(() => undefined);
    // It has ended already where this fails.
    if (!signal?.aborted) await calls.call('closeStdin', [pid]).catch(() => undefined);
  }
}

/** Null: aborted first. */
async function nextUnless<T>(
  source: AsyncIterator<T>,
  signal: AbortSignal | undefined,
): Promise<IteratorResult<T> | null> {
  if (signal === undefined) return await source.next();
  if (signal.aborted) return null;
  let onAbort = (): void => undefined;
  const aborted = new Promise<null>((resolve) => {
    onAbort = () => resolve(null);
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([source.next(), aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
