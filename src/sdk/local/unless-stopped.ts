import { HoldfastError } from '../../common/errors.js';
import type { CallLimits } from '../calls/call-limits.js';
import { systemParts } from '../default-client.js';

/** It goes on; only the waiting for it ends. */
export async function unlessStopped<T>(work: Promise<T>, { timeoutMs, signal }: CallLimits, what: string): Promise<T> {
  if (timeoutMs === undefined && signal === undefined) return await work;
  let stop = (_error: HoldfastError): void => undefined;
  const stopped = new Promise<never>((_, reject) => {
    stop = reject;
  });
  const late = new HoldfastError('DeadlineExceeded', `${what} had not ended within ${timeoutMs} ms`, {
    outcome: 'unknown',
  });
  const left = new HoldfastError('Cancelled', `waiting for ${what} was cancelled`, { outcome: 'unknown' });
  const onAbort = (): void => stop(left);
  const timer = timeoutMs === undefined ? null : systemParts.clock.after(timeoutMs, () => stop(late));
  if (signal?.aborted) onAbort();
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([work, stopped]);
  } finally {
    timer?.cancel();
    signal?.removeEventListener('abort', onAbort);
  }
}
