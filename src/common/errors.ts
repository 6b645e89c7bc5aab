/** Every code that the package can raise; the meaning of each is in docs/semantics.md. */
export type ErrorCode =
  | 'InvalidArgument'
  | 'Unauthenticated'
  | 'PermissionDenied'
  | 'NotFound'
  | 'AlreadyExists'
  | 'InstanceConflict'
  | 'InstanceClosed'
  | 'InstanceGone'
  | 'InstanceLost'
  | 'ActivationFailed'
  | 'PendingLimitExceeded'
  | 'NoCapacity'
  | 'DeadlineExceeded'
  | 'Cancelled'
  | 'Deadlock'
  | 'OutcomeUnknown'
  | 'StreamLost'
  | 'PayloadTooLarge'
  | 'NotSerializable'
  | 'OutOfMemory'
  | 'VolumeUnavailable'
  | 'CommitConflict'
  | 'CommandFailed'
  | 'FileNotFound'
  | 'SandboxUnavailable'
  | 'Unavailable'
  | 'StoreQuarantined'
  | 'UserError'
  | 'Internal';

/** Did the user's code run? Only `not-run` is ever retried without being asked. */
export type Outcome = 'not-run' | 'ran' | 'unknown';

export interface ErrorOptions {
  /** Default `not-run`. */
  readonly outcome?: Outcome;
  /** Default: true for `Unavailable` and `StoreQuarantined`, else false. */
  readonly retryable?: boolean;
  readonly details?: Readonly<Record<string, unknown>>;
  readonly cause?: unknown;
}

const brand = Symbol.for('holdfast.error');

/**
 * The one error class of the package. An error that the user's code threw arrives with its own `name`, `message`, `stack`
 * and fields as `cause`.
 */
export class HoldfastError extends Error {
  readonly code: ErrorCode;
  readonly outcome: Outcome;
  readonly retryable: boolean;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'HoldfastError';
    this.code = code;
    this.outcome = options.outcome ?? 'not-run';
    this.retryable = options.retryable ?? (code === 'Unavailable' || code === 'StoreQuarantined');
    this.details = options.details ?? {};
    Object.defineProperty(this, brand, { value: true });
  }
}

/** Survives duplicates of the package, unlike `instanceof`. */
export function isHoldfastError(e: unknown, code?: ErrorCode): e is HoldfastError {
  if (typeof e !== 'object' || e === null || !(brand in e)) return false;
  return code === undefined || (e as { code?: unknown }).code === code;
}
