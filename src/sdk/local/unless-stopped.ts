import { HoldfastError } from '../../common/errors.js';
import { systemParts } from '../default-client.js';
import type { CloseOptions } from '../infos.js';

/** The close goes on; only the waiting for it ends. */
export async function unlessStopped<T>(
  work: Promise<T>,
  { timeoutMs, signal }: CloseOptions,
  label: string,
): Promise<T> {
  if (timeoutMs === undefined && signal === undefined) return await work;
  let stop = (_error: HoldfastError): void => undefined;
  const stopped = new Promise<never>((_, reject) => {
    stop = reject;
  });
  const late = new HoldfastError('DeadlineExceeded', `${label} was not closed within ${timeoutMs} ms`, {
    outcome: 'unknown',
  });
  const left = new HoldfastError('Cancelled', `the close of ${label} was cancelled`, { outcome: 'unknown' });
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
