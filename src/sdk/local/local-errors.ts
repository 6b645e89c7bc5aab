import { HoldfastError } from '../../common/errors.js';
import { mostCallBytes } from '../../common/spawned-call.js';

/** What a worker answers in the same cases; `what` is `app/Class/id.method`. */
export function sandboxDied(
  what: string,
  { outOfMemory, memoryMb }: { readonly outOfMemory: boolean; readonly memoryMb: number },
): HoldfastError {
  if (!outOfMemory) return new HoldfastError('OutcomeUnknown', `the sandbox of ${what} died`, { outcome: 'unknown' });
  const message = `${what} used more than its memoryMb of ${memoryMb}`;
  return new HoldfastError('OutOfMemory', message, { outcome: 'unknown', details: { memoryMb } });
}

export function pendingLimitExceeded(
  what: string,
  { limit, pending, retryAfterMs }: { readonly limit: number; readonly pending: number; readonly retryAfterMs: number },
): HoldfastError {
  return new HoldfastError(
    'PendingLimitExceeded',
    `${what}: ${pending} calls wait for the instance, its maxPendingTasks is ${limit}; call again in about ${retryAfterMs} ms`,
    { details: { limit, pending, retryAfterMs } },
  );
}

export function deadlock(what: string, chain: readonly string[]): HoldfastError {
  return new HoldfastError(
    'Deadlock',
    `the call would wait for itself: ${[...chain, what].join(' -> ')}; raise concurrentRequests, mark a reader with @method({ concurrent: true }), or do not call back`,
    { details: { chain: [...chain] } },
  );
}

export function deadlineExceeded(what: string, limit: 'caller' | 'class', hasRun: boolean): HoldfastError {
  const whose = limit === 'caller' ? "the caller's timeoutMs" : "the class's timeoutMs";
  const state = hasRun ? 'was still running' : 'was still waiting for its turn';
  return new HoldfastError('DeadlineExceeded', `${what} ${state} when ${whose} was over`, {
    outcome: hasRun ? 'ran' : 'not-run',
    details: { limit },
  });
}

export function cancelled(what: string, hasRun: boolean): HoldfastError {
  const state = hasRun ? 'while it ran; its signal was aborted' : 'before it ran';
  return new HoldfastError('Cancelled', `${what} was cancelled ${state}`, { outcome: hasRun ? 'ran' : 'not-run' });
}

export function closing(what: string): HoldfastError {
  return new HoldfastError('InstanceClosed', `${what}: the instance is being closed and takes no more calls`);
}

export function forceClosed(what: string): HoldfastError {
  return new HoldfastError('InstanceClosed', `${what} was still running when its instance was closed`, {
    outcome: 'ran',
  });
}

export function gone(label: string): HoldfastError {
  return new HoldfastError('InstanceGone', `${label} was closed`);
}

export function startedTooLate(label: string, startupTimeoutMs: number): HoldfastError {
  return new HoldfastError(
    'ActivationFailed',
    `${label} did not start: its enter hooks did not end within startupTimeoutMs of ${startupTimeoutMs}`,
    { details: { startupTimeoutMs } },
  );
}

/** Of a spawned call; here nothing is recorded, elsewhere it is. */
export function tooLarge(bytes: number): HoldfastError {
  const message = `the arguments take ${bytes} bytes, those of a spawned call may take ${mostCallBytes}; put them into a volume, and pass where they are`;
  return new HoldfastError('PayloadTooLarge', message, { details: { bytes, maxBytes: mostCallBytes } });
}
