import { HoldfastError, isHoldfastError } from '../../common/errors.js';
import { describeIdentity, type Identity } from '../../common/ids.js';
import type { Admission } from '../../common/mailbox.js';
import type { ResourceKind } from '../../common/manifest.js';
import type { ContainerExit } from '../../common/ports/container.js';

/** The errors that a worker answers calls with; one place, so that they read alike. */
export function pendingLimitExceeded(
  identity: Identity,
  kind: ResourceKind,
  refused: Admission & { verdict: 'full' },
): HoldfastError {
  const slots = kind === 'sandbox' ? 'tasksPerContainer' : 'concurrentRequests';
  const { limit, pending, retryAfterMs } = refused;
  return new HoldfastError(
    'PendingLimitExceeded',
    `${describeIdentity(identity)} has as many calls waiting as its maxPendingTasks allows, ${limit}: call again in about ${retryAfterMs} ms, or raise maxPendingTasks or ${slots}`,
    { details: { limit, pending, retryAfterMs } },
  );
}

export function deadlock(identity: Identity, method: string, chain: readonly string[]): HoldfastError {
  const path = [...chain, `${describeIdentity(identity)}.${method}`].join(' -> ');
  return new HoldfastError(
    'Deadlock',
    `the call would wait for itself: ${path}; raise concurrentRequests, mark a reader with @method({ concurrent: true }), or do not call back`,
    { details: { chain: [...chain] } },
  );
}

export function unknownMethod(identity: Identity, method: string, known: readonly string[]): HoldfastError {
  return new HoldfastError(
    'InvalidArgument',
    `${identity.app}/${identity.className} has no method '${method}' that can be called; it has: ${known.join(', ') || 'none'}. Decorate it with @method() and deploy again`,
    { details: { method, methods: [...known] } },
  );
}

export function closing(identity: Identity): HoldfastError {
  return new HoldfastError('InstanceClosed', `${describeIdentity(identity)} is being closed and takes no more calls`, {
    details: { id: identity.id },
  });
}

export function callerDeadline(identity: Identity, method: string, wasRunning: boolean): HoldfastError {
  const state = wasRunning ? 'was still running' : 'was still waiting for its turn';
  return new HoldfastError(
    'DeadlineExceeded',
    `${describeIdentity(identity)}.${method} ${state} when the caller's timeoutMs was over`,
    { outcome: wasRunning ? 'ran' : 'not-run', details: { limit: 'caller' } },
  );
}

export function attemptTimeout(identity: Identity, method: string, timeoutMs: number): HoldfastError {
  return new HoldfastError(
    'DeadlineExceeded',
    `${describeIdentity(identity)}.${method} ran longer than the class's timeoutMs of ${timeoutMs}; its signal was aborted`,
    { outcome: 'ran', details: { limit: 'class', timeoutMs } },
  );
}

export function cancelled(identity: Identity, method: string, wasRunning: boolean): HoldfastError {
  const state = wasRunning ? 'while it ran; its signal was aborted' : 'before it ran';
  return new HoldfastError('Cancelled', `${describeIdentity(identity)}.${method} was cancelled ${state}`, {
    outcome: wasRunning ? 'ran' : 'not-run',
  });
}

export function containerDied(
  exit: ContainerExit,
  { identity, method, memoryMb }: { readonly identity: Identity; readonly method: string; readonly memoryMb: number },
): HoldfastError {
  const what = `${describeIdentity(identity)}.${method}`;
  if (exit.outOfMemory) {
    return new HoldfastError(
      'OutOfMemory',
      `the container of ${what} used more than its memoryMb of ${memoryMb} and was killed; raise memoryMb or hold less`,
      { outcome: 'unknown', details: { memoryMb } },
    );
  }
  return new HoldfastError('OutcomeUnknown', `the container of ${what} ${endOf(exit)} while the call ran`, {
    outcome: 'unknown',
    details: { exitCode: exit.exitCode, signal: exit.signal },
  });
}

/** What became of a container, for a log: `exited with code 1`. */
export function howItEnded(exit: ContainerExit): string {
  return exit.outOfMemory ? 'used more than its memoryMb and was killed' : endOf(exit);
}

function endOf({ why, signal, exitCode }: ContainerExit): string {
  if (why !== undefined) return `was lost (${why})`;
  return signal === null ? `exited with code ${exitCode}` : `was killed by ${signal}`;
}

/** @param wasSending its code had ended, but its result was not with the caller yet */
export function forceClosed(identity: Identity, method: string, wasSending: boolean): HoldfastError {
  const state = wasSending
    ? 'had a result that was still being sent when the instance ended'
    : 'was still running when the instance ended; its signal was aborted';
  return new HoldfastError('InstanceClosed', `${describeIdentity(identity)}.${method} ${state}`, {
    outcome: 'ran',
    details: { id: identity.id },
  });
}

/** A container that ended before its bundle was loaded, or before an instance in it was alive. */
export function diedStarting(exit: ContainerExit): HoldfastError {
  if (exit.outOfMemory) {
    return new HoldfastError('OutOfMemory', 'the container ran out of memory while it started; raise memoryMb', {
      outcome: 'ran',
    });
  }
  // Its class is not at fault: whoever waits for it may wait for another one.
  if (exit.why !== undefined) return new HoldfastError('NoCapacity', `the container ${endOf(exit)} while it started`);
  return new HoldfastError('ActivationFailed', `the container ${endOf(exit)} while it started; see its log`, {
    details: { exitCode: exit.exitCode, signal: exit.signal },
  });
}

/** What those who wait for an instance get that did not come to life. */
export function activationError(identity: Identity, cause: unknown): HoldfastError {
  if (isHoldfastError(cause)) return cause;
  const message = `${describeIdentity(identity)} could not be activated: ${String(cause)}`;
  return new HoldfastError('ActivationFailed', message, { cause });
}

/** Of a container that breaks the protocol. */
export function notRecalled(): HoldfastError {
  return new HoldfastError('InvalidArgument', 'a container gave back a call that nobody had recalled');
}

/** Of a container that breaks the protocol. */
export function answeredUnbegun(): HoldfastError {
  return new HoldfastError('InvalidArgument', 'a container sent a part of the result of a call that had no slot yet');
}

/** Of a container that breaks the protocol. */
export function notDetachable(): HoldfastError {
  return new HoldfastError(
    'InvalidArgument',
    'a container said out of turn that the code of a call goes on, or has stopped',
  );
}
